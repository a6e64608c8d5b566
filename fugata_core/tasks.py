"""Celery's `shared_task`, for tasks of the Celery application that the settings name."""

from importlib import import_module

from celery import shared_task
from django.conf import settings

__all__ = ["shared_task"]

import_module(settings.TASK_APPLICATION)  # or tasks would go to Celery's own default broker

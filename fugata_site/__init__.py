"""The composition: settings, addresses, middleware, gunicorn's and Celery's set-up.

This file imports nothing: who reads a setting of the environment does without Django.
"""

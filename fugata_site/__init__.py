"""The composition: settings, addresses, processes, middleware, the error envelope, health."""

from fugata_site.celery import app as celery_app

__all__ = ["celery_app"]

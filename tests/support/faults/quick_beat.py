"""Fugata's settings with a beat that sends a purge each second (DJANGO_SETTINGS_MODULE)."""

from fugata_site.settings import *  # noqa: F403

CELERY_BEAT_SCHEDULE = {
    "purge-expired": {"task": "secrets_app.tasks.purge_expired", "schedule": 1.0},
}

"""Fugata's settings with a beat that sends a purge each second (DJANGO_SETTINGS_MODULE).

The worker also looks each second for tasks that another one left; usually that takes 100 seconds.
"""

from fugata_site.settings import *  # noqa: F403
from fugata_site.settings import CELERY_BROKER_TRANSPORT_OPTIONS

CELERY_BROKER_TRANSPORT_OPTIONS |= {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
CELERY_BEAT_SCHEDULE = {
    "purge-expired": {"task": "secrets_app.tasks.purge_expired", "schedule": 1.0},
}

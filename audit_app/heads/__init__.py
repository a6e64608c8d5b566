"""Where the trail's last head is kept, outside the database: one file for each backend."""

from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from audit_app.heads.base import HeadStore


def head_store() -> HeadStore:
    """Return the configured store (settings.AUDIT_HEAD)."""
    config = settings.AUDIT_HEAD
    return cast(HeadStore, import_string(config["BACKEND"])(**config["OPTIONS"]))

"""Where the trail's last head is kept, outside the database: in a file, or as AUDIT_HEAD says.

The backend for a ConfigMap is operations_app/audit_head.py: it needs the client of Kubernetes in
vault_app, and that and audit_app do not import each other.
"""

from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from audit_app.heads.base import HeadStore


def head_store() -> HeadStore:
    """Return the configured store (settings.AUDIT_HEAD)."""
    config = settings.AUDIT_HEAD
    return cast(HeadStore, import_string(config["BACKEND"])(**config["OPTIONS"]))

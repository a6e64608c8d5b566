"""The audit trail."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.environment import (
    env,
    generated_secret,
    optional_duration,
    read,
    require_length,
)
from fugata_site.settings.home import FUGATA_HOME, GENERATED_SECRETS, IN_CLUSTER

AUDIT_KEY = read("AUDIT_KEY", env.str, "")
if not AUDIT_KEY and IN_CLUSTER:
    raise ImproperlyConfigured(
        "AUDIT_KEY: must be set inside a cluster, where a generated one vanishes with the pod."
    )
if not AUDIT_KEY:
    GENERATED_SECRETS.append("AUDIT_KEY")
    AUDIT_KEY = generated_secret(FUGATA_HOME / "audit_key")
require_length("AUDIT_KEY", AUDIT_KEY)
#: Where the last head is kept, outside the database: a ConfigMap, or a file.
_configmap = read("AUDIT_HEAD_CONFIGMAP", env.str, "")
if _configmap and not re.fullmatch(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", _configmap):
    raise ImproperlyConfigured(
        "AUDIT_HEAD_CONFIGMAP: must be a ConfigMap's name, such as audit-head."
    )
_file = read("AUDIT_HEAD_PATH", env.str, "")
if _configmap and _file:
    raise ImproperlyConfigured(
        "AUDIT_HEAD_CONFIGMAP: must not be set together with AUDIT_HEAD_PATH. The head of the trail"
        " is kept in one place."
    )
#: Whether somebody chose that place: the default is a file beside all else.
AUDIT_HEAD_IS_PLACED = bool(_configmap or _file)
_path = Path(_file or FUGATA_HOME / "audit-head").absolute()
AUDIT_HEAD: dict[str, Any] = (
    {"BACKEND": "operations_app.audit_head.ConfigMapHead", "OPTIONS": {"name": _configmap}}
    if _configmap
    else {"BACKEND": "audit_app.heads.file.FileHead", "OPTIONS": {"path": _path}}
)
AUDIT_WEBHOOK_URL = read("AUDIT_WEBHOOK_URL", env.str, "")
if AUDIT_WEBHOOK_URL and urlsplit(AUDIT_WEBHOOK_URL).scheme not in ("http", "https"):
    raise ImproperlyConfigured("AUDIT_WEBHOOK_URL: must be an http:// or https:// address.")
AUDIT_RETENTION = optional_duration("AUDIT_RETENTION")

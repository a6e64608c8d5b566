"""The audit trail."""

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
AUDIT_HEAD_PATH = read("AUDIT_HEAD_PATH", env.str, "")
AUDIT_WEBHOOK_URL = read("AUDIT_WEBHOOK_URL", env.str, "")
if AUDIT_WEBHOOK_URL and urlsplit(AUDIT_WEBHOOK_URL).scheme not in ("http", "https"):
    raise ImproperlyConfigured("AUDIT_WEBHOOK_URL: must be an http:// or https:// address.")
AUDIT_RETENTION = optional_duration("AUDIT_RETENTION")

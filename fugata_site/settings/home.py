"""Where the default set-up keeps all its state, and the secret that Django signs with."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings.environment import env, generated_secret, read, require_length

BASE_DIR = Path(__file__).resolve().parents[2]
FUGATA_HOME = Path(read("FUGATA_HOME", env.str, str(BASE_DIR / "var"))).resolve()
_NO_HOME = ImproperlyConfigured("FUGATA_HOME: must be a folder that can be written to.")
try:
    FUGATA_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
except OSError:
    raise _NO_HOME from None
IN_CLUSTER = "KUBERNETES_SERVICE_HOST" in os.environ

DEBUG = read("DEBUG", env.bool, False)
SECRET_KEY = read("SECRET_KEY", env.str, "")
if not SECRET_KEY and IN_CLUSTER:
    raise ImproperlyConfigured(
        "SECRET_KEY: must be set inside a cluster, where a generated one vanishes with the pod."
    )
#: The secrets generated in this FUGATA_HOME: other replicas would generate different ones.
GENERATED_SECRETS = [] if SECRET_KEY else ["SECRET_KEY"]
try:
    SECRET_KEY = SECRET_KEY or generated_secret(FUGATA_HOME / "secret_key")
except OSError:
    raise _NO_HOME from None
require_length("SECRET_KEY", SECRET_KEY)

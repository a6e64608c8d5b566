"""Where sealed values are kept, and which keys seal them: dotted paths and options, as STORAGES."""

from typing import Any

from fugata_site.settings import key_services
from fugata_site.settings.environment import env, read
from fugata_site.settings.home import FUGATA_HOME, GENERATED_SECRETS
from fugata_site.settings.kubernetes import (
    KUBECONFIG,
    KUBERNETES_ANNOTATIONS,
    KUBERNETES_LABELS,
    KUBERNETES_NAMESPACE,
    KUBERNETES_TIMEOUT,
)
from fugata_site.settings.processes import WEB_THREADS

#: Calls that a process makes at once: its requests', and the health probe's.
_CONNECTIONS = WEB_THREADS + 1
_KUBERNETES = {
    "namespace": KUBERNETES_NAMESPACE,
    "kubeconfig": KUBECONFIG,
    "timeout": KUBERNETES_TIMEOUT,
    "connections": _CONNECTIONS,
    "labels": KUBERNETES_LABELS,
    "annotations": KUBERNETES_ANNOTATIONS,
}
_BACKENDS = "vault_app.stores"
_STORES: dict[str, dict[str, Any]] = {
    "database": {"BACKEND": f"{_BACKENDS}.database.DatabaseStore", "OPTIONS": {}},
    "kubernetes": {"BACKEND": f"{_BACKENDS}.kubernetes.KubernetesStore", "OPTIONS": _KUBERNETES},
}
_store = read("VALUE_STORE", env.str, "database")
_BY_PATH = {store["BACKEND"]: store for store in _STORES.values()}
VALUE_STORE = (_STORES | _BY_PATH).get(_store, {"BACKEND": _store, "OPTIONS": {}})

FUGATA_KEYS = read("FUGATA_KEYS", env.str, "")
KEYRING_FILE = FUGATA_HOME / "keyring"
_LOCAL = {"keys": FUGATA_KEYS, "file": KEYRING_FILE}
#: The provider that wraps; and all that are set up, by name, to unwrap what they wrapped.
KMS_PROVIDER, KEY_PROVIDERS = key_services.key_providers(_LOCAL, _CONNECTIONS)
KEY_SERVICES_IN_THE_CLEAR = key_services.in_the_clear(KEY_PROVIDERS)
if key_services.is_local(KMS_PROVIDER) and not FUGATA_KEYS:
    GENERATED_SECRETS.append("FUGATA_KEYS")

"""Where sealed values are kept, and under whose keys."""

from fugata_site.settings import key_services
from fugata_site.settings.environment import env, kubernetes_name, read, whole_number
from fugata_site.settings.home import FUGATA_HOME, GENERATED
from fugata_site.settings.processes import WEB_THREADS

#: The value store and the key provider, by dotted path with options, as STORAGES are;
#: KEY_PROVIDERS has every provider that is set up, to open what it wrapped, by its name.
_STORES = {
    "database": "vault_app.stores.database.DatabaseStore",
    "kubernetes": "vault_app.stores.kubernetes.KubernetesStore",
}
_store = read("VALUE_STORE", env.str, "database")
VALUE_STORE = {"BACKEND": _STORES.get(_store, _store), "OPTIONS": {}}
#: Values in Kubernetes: the kubeconfig (unless inside a cluster), the namespace, which holds
#: nothing else, and the seconds that keeping, reading or deleting a value may take.
KUBECONFIG = read("KUBECONFIG", env.str, "")
KUBERNETES_NAMESPACE = kubernetes_name("KUBERNETES_NAMESPACE", "fugata-values")
KUBERNETES_TIMEOUT = whole_number("KUBERNETES_TIMEOUT", 10, 1, 300)
KMS_PROVIDER, KEY_PROVIDERS = key_services.configured(WEB_THREADS)
KEY_SERVICES_IN_THE_CLEAR = key_services.in_the_clear(KEY_PROVIDERS)
FUGATA_KEYS = read("FUGATA_KEYS", env.str, "")
if key_services.is_local(KMS_PROVIDER) and not FUGATA_KEYS:
    GENERATED.append("FUGATA_KEYS")
KEYRING_FILE = FUGATA_HOME / "keyring"

"""Access to the Kubernetes API server: the official client, configured, and renewed.

Configuration, TLS, tokens and the connection pool are the client's. It reads a kubeconfig's files
once, so what those hold is read again when the server no longer takes it.
"""

import threading
import time
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

#: Seconds between two readings of credentials that are refused.
RENEW_INTERVAL = 5.0


def configuration(kubeconfig: str, connections: int) -> Configuration:
    """Return the client's configuration: the pod's own, else that of the file `kubeconfig`.

    `connections`: how many threads may call at once. Raises ImproperlyConfigured, naming
    KUBECONFIG.
    """
    access = Configuration()
    access.retries = False  # urllib3's own would multiply the timeout; ours keep to it
    access.connection_pool_maxsize = connections
    try:
        config.load_incluster_config(client_configuration=access)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        _load_kubeconfig(access, kubeconfig)
    return access


def _load_kubeconfig(access: Configuration, kubeconfig: str) -> None:
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig or None,
            client_configuration=access,
            persist_config=False,
        )
    except Exception:  # a broken file may make the loader raise anything, and quote the file
        raise ImproperlyConfigured(
            "KUBECONFIG: there is no access to a Kubernetes cluster. Outside a cluster it must"
            " name a usable kubeconfig file (its default is ~/.kube/config)."
        ) from None


class Access:
    """The client that is in use. `load` returns its configuration, as the files now have it."""

    def __init__(self, load: Callable[[], Configuration]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._renewed_at = float("-inf")
        self.client = ApiClient(load())

    def renew(self, refused: ApiClient, deadline: float) -> bool:
        """Return whether there is now another client than the one that was refused.

        `deadline`: on the monotonic clock, for as long as another thread reads the files.
        """
        if not self._lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            return False
        try:
            if self.client is refused and time.monotonic() - self._renewed_at >= RENEW_INTERVAL:
                self._renewed_at = time.monotonic()
                self.client = ApiClient(self._load())
        except ImproperlyConfigured:  # half written, perhaps: the next one reads it again
            pass
        finally:
            self._lock.release()
        return self.client is not refused

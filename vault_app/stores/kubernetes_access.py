"""Access to the Kubernetes API server: the official client, configured, and renewed.

Configuration, TLS, tokens and the connection pool are the client's. It reads a kubeconfig's files
once, so what those hold is read again when the server no longer takes it.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from django.core.exceptions import ImproperlyConfigured
from kubernetes import config
from kubernetes.client import ApiClient, Configuration

#: Seconds between two readings of credentials that are refused.
RENEW_INTERVAL = 5.0


def access_loader(kubeconfig: str, connections: int) -> Callable[[], Configuration]:
    """Return what loads the client's configuration: the pod's own, else the file `kubeconfig`.

    Which of them it is stays so: a pod's token that is missing for a moment must not lead to
    another cluster. `connections`: how many threads may call at once.
    """
    in_pod = partial(_load, _load_pod, connections)
    try:
        in_pod()
    except ImproperlyConfigured:
        return partial(_load, partial(_load_kubeconfig, kubeconfig), connections)
    return in_pod


def _load(load: Callable[[Configuration], None], connections: int) -> Configuration:
    access = Configuration()
    access.retries = False  # urllib3's own would multiply the timeout; ours keep to it
    access.connection_pool_maxsize = connections
    load(access)
    return access


def _load_pod(access: Configuration) -> None:
    try:
        config.load_incluster_config(client_configuration=access)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        raise ImproperlyConfigured("there is no service account's token") from None


def _load_kubeconfig(kubeconfig: str, access: Configuration) -> None:
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
    """The client that is in use. `load` returns its configuration, as the files now have it.

    Raises ImproperlyConfigured, naming KUBECONFIG.
    """

    def __init__(self, load: Callable[[], Configuration]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._renewed_at = float("-inf")
        self._renewal: threading.Thread | None = None
        self.client = ApiClient(load())

    def renew(self, refused: ApiClient, deadline: float) -> bool:
        """Return whether there is now another client than the one that was refused.

        Waits for the files to be read until `deadline`, on the monotonic clock: a kubeconfig may
        have a program run, and that may hang.
        """
        with self._lock:
            renewal = self._renewal
            if self.client is refused and not (renewal and renewal.is_alive()):
                renewal = self._start_renewal()
        if self.client is refused and renewal:
            renewal.join(max(deadline - time.monotonic(), 0.0))
        return self.client is not refused

    def _start_renewal(self) -> threading.Thread | None:
        if time.monotonic() - self._renewed_at < RENEW_INTERVAL:
            return None
        self._renewed_at = time.monotonic()
        self._renewal = threading.Thread(target=self._renew, name="kubeconfig", daemon=True)
        self._renewal.start()
        return self._renewal

    def _renew(self) -> None:
        with suppress(ImproperlyConfigured):  # half written, perhaps: the next one reads it again
            self.client = ApiClient(self._load())

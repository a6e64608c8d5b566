"""The trail's last head in a ConfigMap of the pod's own namespace (AUDIT_HEAD_CONFIGMAP).

It is there already (deploy/kubernetes/base): a right to create can't be narrowed to one name.
"""

import time
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from audit_app.chain import Head
from audit_app.errors import HeadUnavailable
from audit_app.heads.base import HeadStore, written
from vault_app.errors import StoreUnavailable
from vault_app.stores.kubernetes_access import Access, access_loader
from vault_app.stores.kubernetes_api import Call, KubernetesApi, decoded

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
#: Seconds that reading or keeping the head may take.
TIMEOUT = 10.0
_KEY = "head"

Json = dict[str, Any]


class ConfigMapHead(HeadStore):
    """One key of one ConfigMap. `name`: the ConfigMap; `namespace`: the pod's own, if empty."""

    def __init__(self, name: str, namespace: str = "", kubeconfig: str = "") -> None:
        self.where = f"the ConfigMap {name}"
        self._name, self._namespace, self._kubeconfig = name, namespace, kubeconfig

    def read(self) -> Head | None:
        try:
            return self._head_in(self._load(time.monotonic() + TIMEOUT))
        except StoreUnavailable as error:
            raise self._unavailable(error) from None

    def keep(self, head: Head) -> None:
        self._write(head, force=False)

    def replace(self, head: Head) -> None:
        self._write(head, force=True)

    def _write(self, head: Head, *, force: bool) -> None:
        deadline = time.monotonic() + TIMEOUT
        try:
            while not self._try_to_write(head, force, deadline):
                pass  # another worker was first: each attempt reads what that wrote
        except StoreUnavailable as error:
            raise self._unavailable(error) from None

    def _try_to_write(self, head: Head, force: bool, deadline: float) -> bool:
        """Return False if somebody else wrote since it was read."""
        found = self._load(deadline)
        if not force and not self.follows(head, self._head_in(found)):
            return True
        found["data"] = {**(found.get("data") or {}), _KEY: written(head).decode().strip()}
        body = msgspec.json.encode(found)
        return self._api.ask(Call("PUT", self._path, (200, 409), body), deadline).status == 200

    def _load(self, deadline: float) -> Json:
        answer = self._api.ask(Call("GET", self._path, (200, 404)), deadline)
        if answer.status == 404:
            raise StoreUnavailable("it is not there: apply deploy/kubernetes again")
        return decoded(answer.body, Json)

    def _head_in(self, found: Json) -> Head | None:
        return self.parse(str((found.get("data") or {}).get(_KEY, "")))

    @cached_property
    def _api(self) -> KubernetesApi:
        return KubernetesApi(Access(access_loader(self._kubeconfig, connections=1)))

    @property
    def _path(self) -> str:
        try:
            namespace = self._namespace or NAMESPACE_FILE.read_text().strip()
        except OSError:
            raise StoreUnavailable("this is no pod with a service account's token") from None
        return f"/api/v1/namespaces/{namespace}/configmaps/{self._name}"

    def _unavailable(self, error: StoreUnavailable) -> HeadUnavailable:
        return HeadUnavailable(
            f"AUDIT_HEAD_CONFIGMAP: {self.where} can't be used ({error}). The worker alone may:"
            " run commands on the trail there"
        )

"""Values in the Secret objects of one Kubernetes namespace.

A value is an object `fugata-NAME`. A longer one has its first piece there and the others in
`fugata-NAME.1`, `fugata-NAME.2`, …; the name itself says how many pieces there are, so that
reading and deleting need no listing. The first piece is written last and deleted first.
"""

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from django.core.signals import setting_changed

from vault_app.errors import StoreUnavailable, ValueConflict, ValueMissing, ValueStays
from vault_app.models import Installation
from vault_app.stores.base import TRIAL, StoredObject, ValueStore
from vault_app.stores.kubernetes_access import Access, access_loader
from vault_app.stores.kubernetes_api import Page, SecretsApi, StoredSecret

#: Bytes in an object: the limit of a Secret's data (MaxSecretSize in Kubernetes' core/v1).
PIECE_SIZE = 2**20
#: Objects per page of a listing.
PAGE_SIZE = 500
#: Timeout of the health probe, in seconds.
PROBE_TIMEOUT = 2.0
_PREFIX = "fugata-"
_DATA_KEY = "sealed"


@cache
def api(namespace: str, kubeconfig: str, connections: int) -> SecretsApi:
    """Return this process's client: one connection pool for the values of all apps."""
    return SecretsApi(Access(access_loader(kubeconfig, connections)), namespace)


@dataclass(frozen=True, slots=True)
class Options:
    """Which cluster and namespace, and how; settings/vault.py says what they are for.

    `timeout`: seconds that storing, reading or deleting a value may take. `connections`: how many
    threads may do so at once. `labels`, `annotations`: the company's own, for new objects.
    """

    namespace: str = "fugata-values"
    kubeconfig: str = ""
    timeout: float = 10.0
    connections: int = 16
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


class KubernetesStore(ValueStore):
    """Immutable Secrets with opaque names; labels say which installation and app they belong to.

    `options`: the fields of Options. Raises ImproperlyConfigured, naming KUBECONFIG.
    """

    def __init__(self, app: str = "shares", **options: Any) -> None:
        super().__init__(app)
        self._options = given = Options(**options)
        self.timeout = given.timeout
        self._api = api(given.namespace, given.kubeconfig, given.connections)

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Return the labels, read on first use: the start-up check precedes the tables."""
        return {
            "app.kubernetes.io/managed-by": "fugata",
            "app.kubernetes.io/instance": Installation.identity(),
            "app.kubernetes.io/component": self.app,
        }

    def new_name(self, size: int) -> str:
        """Return a new name, which says how many pieces a value of that size has."""
        pieces = _piece_count(size)
        return super().new_name(size) + (f"-{pieces}" if pieces > 1 else "")

    def takes(self, name: str, size: int) -> bool:
        """Return whether the name says how many pieces a value of that size has."""
        return _piece_count(size) == len(_object_names(name))

    def put(self, name: str, sealed: bytes) -> None:
        """Create the objects, the first piece last: once it exists, the value is complete."""
        if not self.takes(name, len(sealed)):
            raise StoreUnavailable("the name was given for a value of another size")
        objects = _object_names(name)
        deadline = self._deadline()
        for number in reversed(range(len(objects))):
            piece = sealed[number * PIECE_SIZE : (number + 1) * PIECE_SIZE]
            self._create(objects[number], piece, deadline)

    def _create(self, name: str, piece: bytes, deadline: float) -> None:
        made = self._api.create(self._manifest(name, piece), deadline)
        if made is None:
            self._require_same(name, piece, deadline)
        elif self._changed(made, piece):
            with suppress(StoreUnavailable):  # who asked notes what may be left
                self._api.delete(name, deadline)
            self._require_unchanged(made, piece)

    def _manifest(self, name: str, piece: bytes) -> dict[str, Any]:
        labels = {**self._options.labels, **self._labels}
        annotations = dict(self._options.annotations)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "immutable": True,
            "data": {_DATA_KEY: piece},
        }

    def _require_same(self, name: str, piece: bytes, deadline: float) -> None:
        """Compare what is there: made by an attempt of ours whose answer was lost, or by others."""
        found = self._api.read(name, deadline)
        if found is None:
            raise StoreUnavailable("an object could not be created, and is not there")
        if found.metadata.deletion_timestamp:
            raise StoreUnavailable(
                "an object that is needed is being deleted, and will be gone when whoever put"
                " finalizers on it takes them off"
            )
        if found.data.get(_DATA_KEY) == piece:
            return
        if found.metadata.finalizers:
            raise StoreUnavailable(
                "an object of that name is there with another content, and its finalizers keep it"
                " from being replaced: take them off"
            )
        raise ValueConflict("an object of that name is there with another content")

    def _require_unchanged(self, made: StoredSecret, piece: bytes) -> None:
        if changed := self._changed(made, piece):
            raise StoreUnavailable(
                f"the cluster changed the {changed} of an object that was stored: a policy or"
                " webhook that changes Secrets must leave those of Fugata's namespace alone"
            )

    def _changed(self, made: StoredSecret, piece: bytes) -> str:
        """Return which part of a new object is not as it was sent; nothing if all is."""
        if made.data.get(_DATA_KEY) != piece:
            return "data"
        if not made.immutable:
            return "immutability"
        return "" if self._labels.items() <= made.metadata.labels.items() else "labels"

    def get(self, name: str) -> bytes:
        """Return the pieces, joined."""
        deadline = self._deadline()
        return b"".join([self._read_piece(each, deadline) for each in _object_names(name)])

    def _read_piece(self, name: str, deadline: float) -> bytes:
        found = self._api.read(name, deadline)
        if found is None or _DATA_KEY not in found.data:
            raise ValueMissing("no value of that name")
        return found.data[_DATA_KEY]

    def delete(self, name: str, within: float | None = None) -> None:
        """Delete the objects, the first piece first; any leftover pieces are still listed."""
        deadline = self._deadline(within)
        gone = [self._api.delete(each, deadline) for each in _object_names(name)]
        if not all(gone):
            raise ValueStays(
                "an object is marked as deleted, and stays until whoever put finalizers on it takes"
                " them off"
            )

    def check(self) -> None:
        """Read an object that never exists: this tests the server, its store and our rights."""
        self._api.read(f"{_PREFIX}check", self._deadline(PROBE_TIMEOUT))

    def check_writable(self) -> None:
        """Have an object judged that is not made, then store one, and delete it.

        So where a policy changes objects, and another one keeps them from being deleted, none is
        left behind. Raises StoreUnavailable.
        """
        manifest = self._manifest(_PREFIX + self.new_name(len(TRIAL)), TRIAL)
        made = self._api.create(manifest, self._deadline(), dry_run=True)
        if made is not None:
            self._require_unchanged(made, TRIAL)
        super().check_writable()

    def list(self) -> Iterator[StoredObject]:
        """Yield each value once, in name order, from its objects' metadata.

        Objects that are being deleted (their finalizers keep them for now) are left out. A value is
        as old as its youngest piece; one that lost its first piece is listed too.
        """
        for name, pieces in itertools.groupby(self._pieces(), lambda piece: piece.name):
            yield StoredObject(name, min(piece.age for piece in pieces if piece.age is not None))

    def _pieces(self) -> Iterator[StoredObject]:
        for page in self._pages():
            for found in page.objects:
                if found.deletion_timestamp:
                    continue
                name = found.name.removeprefix(_PREFIX).partition(".")[0]
                yield StoredObject(name, page.now - found.creation_timestamp)

    def _deadline(self, within: float | None = None) -> float:
        return time.monotonic() + (self.timeout if within is None else min(within, self.timeout))

    def _pages(self) -> Iterator[Page]:
        selector = ",".join(f"{label}={value}" for label, value in self._labels.items())
        start = ""
        while True:
            page = self._api.page(selector, PAGE_SIZE, start, self._deadline())
            yield page
            if not (start := page.next):
                return


def _piece_count(size: int) -> int:
    return max(-(-size // PIECE_SIZE), 1)


def _object_names(name: str) -> list[str]:
    """Return the names of a value's objects, the first piece's first."""
    _, _, pieces = name.partition("-")
    count = int(pieces) if pieces.isdecimal() else 1
    return [_PREFIX + name, *(f"{_PREFIX}{name}.{number}" for number in range(1, count))]


def _drop_clients(**_: Any) -> None:
    api.cache_clear()


setting_changed.connect(_drop_clients)

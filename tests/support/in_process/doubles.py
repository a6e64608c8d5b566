"""Backends that fail on demand, to inject a fault; and a store that is not in the database."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from django.conf import settings
from django.db import connection

from vault_app.errors import KeyUnavailable, StoreUnavailable, ValueConflict, ValueMissing
from vault_app.keys.local import LocalKeyring
from vault_app.stores.base import StoredObject, ValueStore

T = TypeVar("T")


def backend(it: object) -> dict[str, object]:
    """Return the setting by which `it`, made by a test, is the backend."""
    return {"BACKEND": f"{__name__}.given", "OPTIONS": {"it": it}}


def given(it: T, app: str = "") -> T:
    """Return the backend that a test made (backends are named by dotted path)."""
    return it


class MemoryStore(ValueStore):
    """A remote store in small: it shows in which order the effects came.

    `failing` names the operations that fail; `before` holds what happens first in one.
    """

    transactional = False

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, bytes] = {}
        self.failing: set[str] = set()
        self.before: dict[str, Callable[[], None]] = {}
        self.calls: list[str] = []
        self.inside_a_transaction: list[bool] = []

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        self.inside_a_transaction.append(connection.in_atomic_block)
        self.before.get(operation, lambda: None)()
        if operation in self.failing:
            raise StoreUnavailable("injected")

    def put(self, name: str, sealed: bytes) -> None:
        self._called("put")
        if self.values.setdefault(name, sealed) != sealed:
            raise ValueConflict("another content")

    def get(self, name: str) -> bytes:
        self._called("get")
        if name not in self.values:
            raise ValueMissing("no value of that name")
        return self.values[name]

    def delete(self, name: str, within: float | None = None) -> None:
        self._called("delete")
        self.values.pop(name, None)

    def check(self) -> None:
        self._called("check")

    def list(self) -> Iterator[StoredObject]:
        self._called("list")
        yield from map(StoredObject, tuple(self.values))


class FaultyKeys(LocalKeyring):
    """The local keyring behind a connection that may be down."""

    def __init__(self) -> None:
        super().__init__(**settings.KEY_PROVIDERS["local"]["OPTIONS"])
        self.failing: set[str] = set()
        self.calls: list[str] = []

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.failing:
            raise KeyUnavailable("injected")

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        self._called("wrap")
        return super().wrap(data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        self._called("unwrap")
        return super().unwrap(wrapped, context)

"""Values in the application's own database: the embedded default."""

from collections.abc import Iterator

from django.db import DatabaseError

from fugata_core.database_failures import kinds_of
from fugata_core.streams import stream
from vault_app.errors import StoreUnavailable, ValueConflict, ValueMissing
from vault_app.models import StoredValue
from vault_app.stores.base import StoredObject, ValueStore


class DatabaseStore(ValueStore):
    """Takes part in the transaction that writes or deletes the row."""

    transactional = True

    def put(self, name: str, sealed: bytes) -> None:
        """Store `sealed` under `name`, in the caller's transaction; repeating it is safe."""
        try:
            row, _ = StoredValue.objects.get_or_create(name=name, defaults={"sealed": sealed})
        except DatabaseError as error:
            raise _unavailable("the database did not keep the value", error) from error
        if bytes(row.sealed) != sealed:
            raise ValueConflict("a value of that name is there with another content")

    def get(self, name: str) -> bytes:
        """Return the value."""
        try:
            sealed = StoredValue.objects.values_list("sealed", flat=True).filter(name=name).first()
        except DatabaseError as error:
            raise _unavailable("the database did not answer", error) from error
        if sealed is None:
            raise ValueMissing("no value of that name")
        return bytes(sealed)

    def delete(self, name: str, within: float | None = None) -> None:
        """Delete the value, in the caller's transaction."""
        try:
            StoredValue.objects.filter(name=name).delete()
        except DatabaseError as error:
            raise _unavailable("the database did not answer", error) from error

    def check(self) -> None:
        """Do nothing: the database has a probe of its own."""

    def list(self) -> Iterator[StoredObject]:
        """Yield the names of all values: only the rows that point to them name an app."""
        try:
            for name in stream(StoredValue.objects.values_list("name", flat=True)):
                yield StoredObject(name)
        except DatabaseError as error:
            raise _unavailable("the database did not answer", error) from error


def _unavailable(what: str, error: DatabaseError) -> StoreUnavailable:
    return StoreUnavailable(f"{what}: {kinds_of(error)}")

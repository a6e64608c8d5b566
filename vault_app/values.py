"""The values of rows: sealed and stored before the row is written, deleted after it is gone."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Self

from django.db import IntegrityError, transaction

from fugata_core.connections import close_if_failed
from fugata_core.database_failures import ANY_ERROR, kinds_of
from fugata_core.errors import RowLocked
from fugata_core.postgresql.base import answers_within
from vault_app import envelope, leftovers
from vault_app.associated_data import AssociatedData
from vault_app.backends import key_provider, remote_store, value_store
from vault_app.deletion_hold import is_deletion_held
from vault_app.errors import ValueConflict, ValueMissing, ValueStays, VaultError
from vault_app.key_rows import require_unlocked_key
from vault_app.stores.base import ValueStore
from vault_app.writes import writes

#: Seconds that a response waits at most for the deletion of its value, and for each of the
#: statements that go with it.
DELETE_TIMEOUT = 1.0
#: Seconds that an operator's request waits for the deletion of many.
DELETE_ALL_TIMEOUT = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SealedValue:
    """A sealed value whose row is not written yet.

    `sealed` is for the caller to write in the row's transaction; None where a remote store has it.
    """

    name: str
    wrapped_key: bytes
    key_id: str
    size: int
    sealed: bytes | None

    def columns(self) -> dict[str, Any]:
        """Return the columns of the row that points to it, as models.Sealed has them."""
        return {
            "wrapped_key": self.wrapped_key,
            "key_id": self.key_id,
            "value_name": self.name,
            "size": self.size,
        }


def seal_and_store(
    app: str,
    content: bytes,
    associated_data_for: Callable[[str], AssociatedData],
    link_secret: bytes = b"",
) -> SealedValue:
    """Seal `content`, and put it in the remote store if there is one.

    Raises VaultError, Overloaded, or RowLocked if the row that is to point to it could not be
    written.
    """
    require_unlocked_key()
    name = value_store(app).new_name(len(content) + envelope.OVERHEAD)
    sealed, wrapped = envelope.seal(content, associated_data_for(name), link_secret)
    remote = remote_store(app)
    if remote is not None:
        _put(app, remote, name, sealed)
    return SealedValue(
        name=name,
        wrapped_key=wrapped,
        key_id=key_provider().key_of(wrapped),
        size=len(content),
        sealed=sealed if remote is None else None,
    )


def _put(app: str, store: ValueStore, name: str, sealed: bytes) -> None:
    """Store a value. If that fails it may be there all the same, and no row will point to it."""
    try:
        writes.put(store, name, sealed)
    except ValueConflict:  # it is there, and not ours
        raise
    except Exception:  # of a backend of one's own, anything
        leftovers.note(app, [name])
        raise


def fetch(app: str, name: str, inline: bytes | None) -> bytes:
    """Return a sealed value: the remote store's if there is one, else `inline`, read with its row.

    Raises ValueMissing or StoreUnavailable.
    """
    remote = remote_store(app)
    if remote is not None:
        return remote.get(name)
    if inline is None:
        raise ValueMissing("the row's value is not in the database")
    return inline


def delete_quietly(app: str, name: str) -> None:
    """Delete a remote value whose row is gone; on failure reconciliation finishes the job.

    A response waits for it no longer than DELETE_TIMEOUT says, and does not depend on its outcome.
    """
    delete_all_quietly(app, [name])


@contextmanager
def unless_written(app: str, name: str) -> Iterator[None]:
    """Have the block write the row of a stored value, which is deleted if no row was written.

    Raises what the block does.
    """
    try:
        with noted_in_doubt(app, name):
            yield
    except (RowLocked, IntegrityError):
        delete_quietly(app, name)
        raise


@contextmanager
def noted_in_doubt(app: str, name: str) -> Iterator[None]:
    """Have the block write or delete the row of a value, and commit.

    Where it is unknown whether it did, because the connection broke for instance, the value is
    noted, and deleted later unless a row points to it. Raises what the block does.
    """
    try:
        yield
    except IntegrityError:
        raise
    except ANY_ERROR:
        if remote_store(app) is not None:
            with answers_within(DELETE_TIMEOUT):  # the request has waited long enough
                close_if_failed()
                leftovers.note(app, [name], after=leftovers.SETTLED)
        raise


def delete_all_quietly(
    app: str, names: Iterable[str], seconds: float = math.inf, *, noted: bool = False
) -> int:
    """Delete remote values whose rows are gone, up to the first that fails, for about `seconds`.

    `noted`: they are on the list of leftovers already, where what goes is taken off. Returns how
    many are left to reconciliation.
    """
    remote = remote_store(app)
    if remote is None:
        return 0  # deleted with their rows
    waiting = list(names)
    with answers_within(DELETE_TIMEOUT):
        gone = _delete_until_one_fails(remote, waiting, time.monotonic() + seconds)
        left = [name for name in waiting if name not in gone]
        if noted:
            with suppress(*ANY_ERROR):  # what stays noted is deleted once more
                leftovers.forget(gone)
        elif left:
            leftovers.note(app, left)
    return len(left)


def _delete_until_one_fails(store: ValueStore, names: list[str], deadline: float) -> set[str]:
    """Return the names of those that are gone; one that stays for now is no failure."""
    gone = set[str]()
    try:
        for name in names:
            # While a back-up is running, reconciliation deletes them later.
            if time.monotonic() >= deadline or is_deletion_held():
                break
            if _delete(store, name):
                gone.add(name)
    except (VaultError, *ANY_ERROR) as error:
        reason = error if isinstance(error, VaultError) else kinds_of(error)
        logger.warning("values outlive their rows until they are reconciled: %s", reason)
        close_if_failed()
    return gone


def _delete(store: ValueStore, name: str) -> bool:
    """Delete a value; return False if it stays for now. Raises StoreUnavailable."""
    try:
        store.delete(name, within=DELETE_TIMEOUT)
    except ValueStays:
        return False
    return True


class Deletions:
    """Values of many rows: collected while the block deletes the rows, deleted when it ends.

    So a store that hangs is waited for once, and not for each row. Each is noted in the transaction
    that deletes its row: if the process is killed, it is known what was left. `left`: how many
    values were left to reconciliation.
    """

    def __init__(self, app: str) -> None:
        self._app, self._names = app, list[str]()
        self._is_remote = remote_store(app) is not None
        self.left = 0

    def take(self, remove: Callable[[], str | None]) -> bool:
        """Have `remove` delete a row and return its value's name, or None; return whether it did.

        Raises what it raises.
        """
        with transaction.atomic() if self._is_remote else nullcontext():
            name = remove()
            if name is not None and self._is_remote:
                leftovers.note(self._app, [name])
        if name is not None:
            self._names.append(name)
        return name is not None

    def __len__(self) -> int:
        """Return how many rows were deleted."""
        return len(self._names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left = delete_all_quietly(self._app, self._names, DELETE_ALL_TIMEOUT, noted=True)

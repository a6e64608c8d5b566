"""Restores a back-up: its values first, then its rows, in one transaction.

Until it ends, deletions are held: a value that no row points to yet may be noted as a leftover.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import new_event
from fugata_core.commands import ProgressCallback
from operations_app.backups import rows, snapshot
from operations_app.backups.archive import BadArchive, Reader
from operations_app.backups.backup import RENEW_INTERVAL
from operations_app.backups.values import absent_from_database, value_names
from secrets_app.models import Share
from vault_app import leftovers, lost_values
from vault_app.backends import remote_store, reset_backends, value_store
from vault_app.deletion_hold import hold_deletions
from vault_app.errors import StoreUnavailable, ValueConflict, ValueMissing
from vault_app.models import Installation, Leftover, StoredValue, sealed_models
from vault_app.stores.base import ValueStore
from vault_app.values import delete_all_quietly

_ACTOR = Actor(username="restore")
_BATCH = 500
_OURS = ("audit_app", "operations_app", "secrets_app", "repositories_app")

logger = logging.getLogger(__name__)


class NotEmpty(Exception):
    """The installation holds something that a restore would destroy."""


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """How many rows and values were restored; `closed`: one-time shares that were closed.

    `missing`: rows whose value was not in the back-up.
    """

    rows: int
    values: int
    closed: int
    missing: int


def restore_backup(
    source: Path,
    *,
    keep_one_time: bool = False,
    force: bool = False,
    progress: ProgressCallback = lambda what, count: None,
) -> RestoreSummary:
    """Replace everything with what the back-up holds.

    One-time shares are closed unless `keep_one_time`: they may have been opened since. Raises
    BadArchive, NotEmpty, StoreUnavailable, DeletionHoldLost.
    """
    with Reader(source) as archive:
        _require_same_version(archive)
        if not force:
            _require_empty()
        archive.verify()
        _require_names(archive)
        with hold_deletions(settle=remote_store() is not None) as renew:
            _restore_identity(archive)
            put = _put_values(archive, force, progress, renew)
            with transaction.atomic():
                count = _put_rows(archive, put, progress)
                closed = [] if keep_one_time else _close_one_time_shares()
            put -= _gone(archive, put)
    delete_all_quietly(Share.values_of, closed, noted=True)
    return RestoreSummary(count, len(put), len(closed), _count_missing(put))


def _require_same_version(archive: Reader) -> None:
    here = snapshot.newest_migrations()
    other = sorted(
        app for app, name in archive.manifest.migrations.items() if here.get(app) != name
    )
    if other:
        raise BadArchive(
            f"the back-up was made by another version (migrations of {', '.join(other)} differ)."
            " Restore it with that version, then upgrade"
        )


def _require_names(archive: Reader) -> None:
    """Raise BadArchive if the store can't have a value under its name, which can't be changed."""
    strangers = sum(
        not value_store(app).takes(name, len(sealed))
        for app, name, sealed in _values_apart(archive)
    )
    if strangers:
        raise BadArchive(
            f"{strangers} values of more than 1 MiB were kept in a database, and can't be moved to"
            " Kubernetes. Restore with VALUE_STORE=database"
        )


def _require_empty() -> None:
    nonempty = [m._meta.verbose_name_plural for m in rows.tables() if _is_ours(m) and _has_rows(m)]
    if nonempty:
        raise NotEmpty(
            f"This installation has {', '.join(map(str, nonempty))} already. A restore replaces"
            " them: give --force if that is what you want."
        )


def _is_ours(model: rows.Model) -> bool:
    own = model._meta.app_label in _OURS or model._meta.label == "auth.User"
    return own and not model._meta.auto_created


def _has_rows(model: rows.Model) -> bool:
    return model._base_manager.exists()


def _restore_identity(archive: Reader) -> None:
    """Take over the identity of the back-up's installation: its values are labelled with it."""
    lines = list(archive.lines(rows.file_of(Installation)))
    if not lines:  # it kept nothing outside its database
        return
    with transaction.atomic():
        Installation.objects.all().delete()
        rows.load(Installation, lines)
    reset_backends()


def _put_values(
    archive: Reader, force: bool, progress: ProgressCallback, renew: Callable[[], None]
) -> set[str]:
    """Put values into their store, and return their names. Raises DeletionHoldLost."""
    renewed, put = time.monotonic(), set[str]()
    for app, name, sealed in _values_apart(archive):
        _put(value_store(app), name, sealed, force)
        put.add(name)
        if time.monotonic() - renewed > RENEW_INTERVAL:
            renew()
            renewed = time.monotonic()
        progress("values", len(put))
    renew()
    return put


def _gone(archive: Reader, put: set[str]) -> set[str]:
    """Put values again that are not there now; return those that could not be.

    None is gone, unless a process that deletes had stalled for long when it was held.
    """
    if remote_store() is None:
        return set()
    gone: set[str] = set()
    try:
        stores = [value_store(model.values_of) for model in sealed_models()]
        gone = put.difference(*({found.name for found in store.list()} for store in stores))
        for app, name, sealed in _values_apart(archive) if gone else ():
            if name in gone:
                value_store(app).put(name, sealed)
                gone.discard(name)
    except StoreUnavailable as error:
        logger.warning("not all values were seen in their store, so run manage.py fsck: %s", error)
    return gone


def _values_apart(archive: Reader) -> Iterator[tuple[str, str, bytes]]:
    """Yield app, name and sealed bytes of each value that is not loaded with the rows."""
    yield from archive.values()
    if remote_store() is None:
        return
    apps = {
        columns["value_name"]: model.values_of
        for model in sealed_models()
        for columns in rows.parse(archive.lines(rows.file_of(model)))
    }
    for columns in rows.parse(archive.lines(rows.file_of(StoredValue))):
        if columns["name"] in apps:
            yield apps[columns["name"]], columns["name"], columns["sealed"]


def _count_missing(put: set[str]) -> int:
    """Return how many rows have no value now, and are not marked so."""
    is_remote = remote_store() is not None
    needed = {name for _, name in value_names()} if is_remote else absent_from_database()
    return len(needed - put - lost_values.marked_names())


def _put(store: ValueStore, name: str, sealed: bytes, force: bool) -> None:
    """Put a value back; with `force`, overwrite other bytes under its name: they may be damaged."""
    try:
        store.put(name, sealed)
    except ValueConflict:
        if not force:
            raise
        _overwrite(store, name, sealed)


def _overwrite(store: ValueStore, name: str, sealed: bytes) -> None:
    """Replace a value. What was there is put back if that fails."""
    store.check_writable()
    try:
        before = store.get(name)
    except ValueMissing:  # a part of it is missing
        before = None
    store.delete(name)
    try:
        store.put(name, sealed)
    except StoreUnavailable:
        if before is not None:
            store.put(name, before)
        raise


def _put_rows(archive: Reader, put: set[str], progress: ProgressCallback) -> int:
    """Replace all rows; but values that were `put` into the database just now stay.

    So do the notes of leftovers here, except of values that have rows again.
    """
    models, is_remote = rows.tables(), remote_store() is not None
    noted = list(Leftover.objects.all())
    rows.delete_all([m for m in models if m is not StoredValue or is_remote or not put])
    count = 0
    for model in models:
        if model is not StoredValue or not is_remote:
            count += rows.load(model, archive.lines(rows.file_of(model)))
            progress("rows", count)
    Leftover.objects.bulk_create(noted, _BATCH, ignore_conflicts=True)
    leftovers.forget(put)
    rows.reset_sequences(models)
    return count


def _close_one_time_shares() -> list[str]:
    """Delete the live ones, and return the names of their values."""
    names: list[str] = []
    while shares := list(Share.objects.live().filter(one_time=True)[:_BATCH]):
        closed = [share.value_name for share in shares]
        AuditEvent.objects.bulk_create(
            new_event(AuditEvent.Kind.DELETED, _ACTOR, share_digest=bytes(share.digest))
            for share in shares
        )
        StoredValue.objects.filter(name__in=closed).delete()
        Share.objects.filter(pk__in=[share.pk for share in shares]).delete()
        names += closed
    if remote_store(Share.values_of) is not None:
        leftovers.note(Share.values_of, names)
    return names

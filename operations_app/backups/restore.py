"""Restores a back-up: its values first, then its rows, in one transaction."""

from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import new_event
from fugata_core.commands import ProgressCallback
from operations_app.backups import rows, snapshot
from operations_app.backups.archive import BadArchive, Reader
from secrets_app.models import Share
from vault_app.backends import remote_store, reset_backends, value_store
from vault_app.errors import ValueConflict
from vault_app.models import Installation, StoredValue
from vault_app.stores.base import ValueStore

_ACTOR = Actor(username="restore")
_OURS = ("audit_app", "operations_app", "secrets_app", "repositories_app")


class NotEmpty(Exception):
    """The installation holds something that a restore would destroy."""


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """How many rows and values were restored; `closed`: one-time shares that were closed."""

    rows: int
    values: int
    closed: int


def restore_backup(
    source: Path,
    *,
    keep_one_time: bool = False,
    force: bool = False,
    progress: ProgressCallback = lambda what, count: None,
) -> RestoreSummary:
    """Replace everything with what the back-up holds.

    One-time shares are closed unless `keep_one_time`: they may have been opened since. Raises
    BadArchive, NotEmpty, StoreUnavailable.
    """
    with Reader(source) as archive:
        _require_same_version(archive)
        if not force:
            _require_empty()
        archive.verify()
        _restore_identity(archive)
        values = _put_values(archive, force, progress)
        with transaction.atomic():
            count = _put_rows(archive, progress)
            closed = 0 if keep_one_time else _close_one_time_shares()
    return RestoreSummary(count, values, closed)


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
    with transaction.atomic():
        Installation.objects.all().delete()
        rows.load(Installation, archive.lines(rows.file_of(Installation)))
    reset_backends()


def _put_values(archive: Reader, force: bool, progress: ProgressCallback) -> int:
    count = 0
    for app, name, sealed in archive.values():
        _put(value_store(app), name, sealed, force)
        count += 1
        progress("values", count)
    return count


def _put(store: ValueStore, name: str, sealed: bytes, force: bool) -> None:
    """Put a value back; with `force`, overwrite other bytes under its name: they may be damaged."""
    try:
        store.put(name, sealed)
    except ValueConflict:
        if not force:
            raise
        store.delete(name)
        store.put(name, sealed)


def _put_rows(archive: Reader, progress: ProgressCallback) -> int:
    models = rows.tables()
    from_store = [path for path in archive.manifest.digests if path.startswith("values/")]
    # Values from a remote store were just put into this table: keep them.
    kept = {StoredValue} if from_store and remote_store() is None else set()
    rows.delete_all([model for model in models if model not in kept])
    count = 0
    for model in models:
        count += rows.load(model, archive.lines(rows.file_of(model)))
        progress("rows", count)
    rows.reset_sequences(models)
    return count


def _close_one_time_shares() -> int:
    shares = list(Share.objects.live().filter(one_time=True))
    kind = AuditEvent.Kind.DELETED
    AuditEvent.objects.bulk_create(
        new_event(kind, _ACTOR, share_digest=bytes(share.digest)) for share in shares
    )
    StoredValue.objects.filter(name__in=[share.value_name for share in shares]).delete()
    Share.objects.filter(pk__in=[share.pk for share in shares]).delete()
    return len(shares)

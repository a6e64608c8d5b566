"""Restores a back-up: its values first, then its rows, in one transaction.

Until it ends, deletions are held: a value that no row points to yet may be noted as a leftover.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Length
from django.template.defaultfilters import pluralize

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import new_event
from fugata_core.commands import ProgressCallback
from operations_app.backups import rows, snapshot
from operations_app.backups.archived import ArchivedValues, require_known_files
from operations_app.backups.interruption import interruption_said
from operations_app.backups.reader import BadArchive, Reader
from operations_app.backups.renewal import beside_transaction, in_good_time
from operations_app.backups.values import (
    Gaps,
    Needs,
    Value,
    lacking_in_database,
    needed_values,
    whole_value,
)
from secrets_app.models import Share
from vault_app import deletion_hold, leftovers
from vault_app.backends import remote_store, reset_backends, value_store
from vault_app.deletion_hold import hold_deletions
from vault_app.errors import StoreUnavailable, ValueConflict, ValueMissing
from vault_app.models import Installation, Leftover, StoredValue, sealed_models
from vault_app.stores.base import ValueStore
from vault_app.values import delete_all_quietly

_ACTOR = Actor(username="restore")
_BATCH = 500
_OURS = ("audit_app", "operations_app", "secrets_app", "repositories_app")


class NotEmpty(Exception):
    """The installation holds something that a restore would destroy."""


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """How many rows and values were restored; `closed`: one-time shares that were closed.

    `gaps`: rows without a value. `gone`: how many of these had one that went from the store
    meanwhile; the back-up lacked the others. `unseen`: why the store could not be asked at the end
    whether it has all values; or nothing.
    """

    rows: int
    values: int
    closed: int
    gaps: Gaps
    gone: int
    unseen: str


def restore_backup(
    archive: Reader,
    *,
    keep_one_time: bool = False,
    force: bool = False,
    progress: ProgressCallback = lambda what, count: None,
    say: Callable[[str], object] = lambda sentence: None,
) -> RestoreSummary:
    """Replace everything with what the back-up holds, whose signature its reader has compared.

    One-time shares are closed unless `keep_one_time`: they may have been opened since. `say`: is
    called with a sentence on what is waited for, and on what an interruption leaves. Raises
    BadArchive, NotEmpty, StoreUnavailable, DeletionHoldLost.
    """
    with interruption_said(say) as at_the_end:
        require_same_version(archive, snapshot.newest_migrations())
        if not force:
            _require_empty(archive.manifest.made_at)
        require_known_files(archive)
        archive.verify()
        values = ArchivedValues(archive)
        _require_names(values)
        with hold_deletions(settle=_settles(say)) as renew:
            _take_identity(archive, values, force)
            renew_if_due = in_good_time(renew)
            put = _put_values(values, force, progress, renew_if_due)
            here = put | _better_here(values, put, renew_if_due) if force else put
            renew()
            with transaction.atomic():
                count = _put_rows(archive, here, progress, in_good_time(beside_transaction(renew)))
                closed = [] if keep_one_time else _close_one_time_shares()
                _require_hold(renew)
                at_the_end()
            gone, unseen = _gone(values, here)
            lacking = _lacking(values, here - gone)
            gaps = Needs.now().without(lacking)
        delete_all_quietly(Share.values_of, closed, noted=True)
    went = sum(name in gone for _, name in lacking)
    return RestoreSummary(count, len(put - gone), len(closed), gaps, went, unseen)


def _settles(say: Callable[[str], object]) -> bool:
    """Return whether deletions that began before may be under way; say that they are waited for."""
    if remote_store() is None:
        return False
    say(f"Waiting {deletion_hold.SETTLE:g} seconds until deletions that began before are over.")
    return True


def require_same_version(archive: Reader, here: dict[str, str]) -> None:
    """Raise BadArchive unless `here` are the newest migrations of each app that the archive has."""
    other = sorted(
        app for app, name in archive.manifest.migrations.items() if here.get(app) != name
    )
    if other:
        raise BadArchive(
            f"the back-up was made by another version (migrations of {', '.join(other)} differ)."
            " Restore it with that version, then upgrade"
        )


def _require_names(values: ArchivedValues) -> None:
    """Raise BadArchive if the store can't have a value under its name, which can't be changed."""
    strangers = sum(
        not value_store(app).takes(name, len(sealed)) for app, name, sealed in _values_apart(values)
    )
    if strangers:
        raise BadArchive(
            f"{strangers} value{pluralize(strangers)} of more than 1 MiB"
            f" {pluralize(strangers, 'was,were')} kept in a database, and can't be moved to"
            " Kubernetes. Restore with VALUE_STORE=database"
        )


def _require_empty(made_at: str) -> None:
    nonempty = [m._meta.verbose_name_plural for m in rows.tables() if _is_ours(m) and _has_rows(m)]
    if nonempty:
        raise NotEmpty(
            f"This installation has {', '.join(map(str, nonempty))} already. A restore replaces"
            f" them with what was there at {made_at}, when the back-up was made; what came since is"
            " gone then. If that is what you want, stop every process of the service, and give"
            " --force."
        )


def _is_ours(model: rows.Model) -> bool:
    own = model._meta.app_label in _OURS or model._meta.label == "auth.User"
    return own and not model._meta.auto_created


def _has_rows(model: rows.Model) -> bool:
    return model._base_manager.exists()


def _take_identity(archive: Reader, values: ArchivedValues, force: bool) -> None:
    """Restore the identity; unless forced, only if nobody's values are in the store under it.

    A restore that broke off may have left the identity and values of this back-up: those are ours.
    """
    try:
        with transaction.atomic():
            before = list(Installation.objects.values_list("uuid"))
            _restore_identity(archive)
            is_same = before == list(Installation.objects.values_list("uuid"))
            if not force:
                _require_unused_store(values.needed if is_same else ())
    finally:
        reset_backends()  # a store knows the identity that it was first used with


def _require_unused_store(ours: Collection[str]) -> None:
    """Raise NotEmpty if the store has values under this identity, other than `ours`."""
    stores = filter(None, (remote_store(model.values_of) for model in sealed_models()))
    others = sum(found.name not in ours for store in stores for found in store.list())
    if others:
        raise NotEmpty(
            f"The value store has {others} value{pluralize(others)} of the back-up's installation"
            " already. If that still runs, this restore would delete some that it needs: restore"
            " into another store (KUBERNETES_NAMESPACE). If its database is gone, give --force."
        )


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
    values: ArchivedValues,
    force: bool,
    progress: ProgressCallback,
    renew_if_due: Callable[[], None],
) -> set[str]:
    """Put values into their store, and return their names. Raises DeletionHoldLost."""
    put = set[str]()
    for app, name, sealed in _values_apart(values):
        _put(value_store(app), name, sealed, force)
        put.add(name)
        renew_if_due()
        progress("values", len(put))
    return put


def _require_hold(renew: Callable[[], None]) -> None:
    """Raise DeletionHoldLost, which rolls the rows back, if a remote store's values may be gone."""
    if remote_store() is not None:
        renew()


def _gone(values: ArchivedValues, here: set[str]) -> tuple[set[str], str]:
    """Put values again that are not there now; return those that are gone, and why, if it failed.

    None is gone, unless a process that deletes had stalled for long when it was held.
    """
    gone: set[str] = set()
    if remote_store() is None:
        return gone, ""
    try:
        stores = [value_store(model.values_of) for model in sealed_models()]
        gone = here.difference(*({found.name for found in store.list()} for store in stores))
        for app, name, sealed in _values_apart(values) if gone else ():
            if name in gone:
                value_store(app).put(name, sealed)
                gone.discard(name)
    except (StoreUnavailable, BadArchive) as error:
        return gone, str(error)
    return gone, ""


def _values_apart(values: ArchivedValues) -> Iterator[tuple[str, str, bytes]]:
    """Yield app, name and sealed bytes of each value that is not loaded with the rows."""
    yield from values.outside()
    if remote_store() is not None:
        yield from values.inside()


def _better_here(
    values: ArchivedValues, put: set[str], renew_if_due: Callable[[], None]
) -> set[str]:
    """Return the names of values that the back-up lacks for its rows and that are here."""
    if remote_store() is not None:
        return set(_whole_here(values, put, renew_if_due))
    if not StoredValue.objects.exists():
        return set()
    fitting = {(name, size) for name, (_, size) in values.needed.items()}
    found = StoredValue.objects.values_list("name", Length("sealed")).iterator()
    here = {name for name, size in found if (name, size) in fitting}
    return here.difference(put, (name for _, name, _ in values.inside()))


def _whole_here(
    values: ArchivedValues, put: set[str], renew_if_due: Callable[[], None]
) -> Iterator[str]:
    """Yield the names of needed values, but for those put, that a remote store has whole."""
    for name, (app, size) in values.needed.items():
        if name not in put:
            renew_if_due()
            if whole_value(app, name, size):
                yield name


def _lacking(values: ArchivedValues, here: set[str]) -> set[Value]:
    """Return the values that restored rows need and that are not there now.

    A service that still runs may have made other rows meanwhile.
    """
    if remote_store() is None:
        return lacking_in_database()
    absent = values.needed.keys() - here
    return {(app, name) for app, name, _ in needed_values() if name in absent}


def _put(store: ValueStore, name: str, sealed: bytes, force: bool) -> None:
    """Put a value back; with `force`, overwrite other bytes under its name: they may be damaged."""
    try:
        store.put(name, sealed)
    except ValueConflict:
        if not force:
            raise
        _overwrite(store, name, sealed)


def _overwrite(store: ValueStore, name: str, sealed: bytes) -> None:
    """Replace a value. What was there is put back if that fails, or is interrupted."""
    store.check_writable()
    try:
        before = store.get(name)
    except ValueMissing:  # a part of it is missing
        before = None
    try:
        store.delete(name)
        store.put(name, sealed)
    except BaseException:
        if before is not None:
            with suppress(ValueConflict):  # the new one is there after all
                store.put(name, before)
        raise


def _put_rows(
    archive: Reader, here: set[str], progress: ProgressCallback, renew_if_due: Callable[[], None]
) -> int:
    """Replace all rows; but values in the database stay if the restored rows have them `here`.

    So do the notes of leftovers, except of values that have rows again.
    """
    models, is_remote = rows.tables(), remote_store() is not None
    stay, noted = set() if is_remote else here, list(Leftover.objects.all())
    rows.delete_all([model for model in models if model is not StoredValue])
    _delete_values(stay)
    count = 0
    for model in models:
        if model is not StoredValue or not is_remote:
            there = stay if model is StoredValue else ()
            lines = archive.lines(rows.file_of(model))
            count += rows.load(model, _each(lines, renew_if_due), there)
            progress("rows", count)
    Leftover.objects.bulk_create(noted, _BATCH, ignore_conflicts=True)
    leftovers.forget(here)
    rows.reset_sequences(models)
    return count


def _each(lines: Iterator[str], act: Callable[[], None]) -> Iterator[str]:
    """Yield the lines, and act after each."""
    for line in lines:
        yield line
        act()


def _delete_values(stay: set[str]) -> None:
    """Delete the values in the database, but for those that stay."""
    names = StoredValue.objects.values_list("name", flat=True)
    others = [name for name in names.iterator() if name not in stay]
    for start in range(0, len(others), _BATCH):
        StoredValue.objects.filter(name__in=others[start : start + _BATCH]).delete()


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

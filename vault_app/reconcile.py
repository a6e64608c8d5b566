"""Reconciliation: delete values that no row points to, once it is certain that none will.

Those that are noted (leftovers.py) go first. Others are orphans: a process was killed between a
value and its row, for instance. A value is written before its row, so only values older than a day
by the store's own clock count, and they are compared with the rows after being listed. More than a
tenth of what is there is deleted only when forced: a database that was copied to a second
installation must not empty the first one's store at once. (It still needs a store of its own:
deploy/kubernetes/README.md.) Where more than a tenth of the rows has no value, none is deleted at
all, noted or not.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial

from vault_app.backends import remote_store
from vault_app.deletion_hold import is_deletion_held
from vault_app.deletions import delete_each
from vault_app.leftovers import FindUsedNames, delete_noted, noted
from vault_app.lost_values import exceeds_tenth, marked
from vault_app.models import Leftover, Sealed, sealed_models
from vault_app.presence import too_many_lack
from vault_app.stores.base import ValueStore

MIN_AGE = timedelta(hours=24)
#: Names compared with the rows at once: each batch costs a scan of the table.
BATCH = 10_000
#: Values that one run deletes at most; the next run continues.
MAX_DELETED = 10_000

TOO_MANY_ORPHANS = (
    "Is this a copy of another installation's database, or one restored from an old back-up? If"
    " these values may really go, say --force."
)
FOREIGN_STORE = (
    "Do VALUE_STORE (and KUBERNETES_NAMESPACE) name the store that belongs to this database?"
)
DOUBTED = (
    "more than a tenth of the rows has no value in this store, so no value was deleted: those"
    " without rows may belong to a newer database. manage.py fsck says more."
)


@dataclass(frozen=True, slots=True)
class Report:
    """How many values there were, how many were orphans, and how many of those were deleted.

    `leftovers`: how many were deleted besides, which were noted when their rows went. `noted`: how
    many of those are left.
    `failed`: how many the store did not delete, before the rest was left to the next run.
    `refused`: more than a tenth were orphans, and `force` was not given, so none was deleted.
    `foreign`: there was none, though rows point to some: is it another installation's store?
    `doubted`: so many rows have no value there that none was deleted, forced or not.
    """

    values: int = 0
    orphans: int = 0
    deleted: int = 0
    refused: bool = False
    foreign: bool = False
    doubted: bool = False
    leftovers: int = 0
    failed: int = 0
    noted: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether another run soon would delete more: there was not the time for all."""
        noted, orphans = self.noted, self.orphans - self.deleted
        return bool((self.leftovers and noted) or (self.deleted and orphans))


def reconcile_all(
    *, dry_run: bool = False, force: bool = False, seconds: float = math.inf
) -> Iterator[tuple[str, Report]]:
    """Reconcile each app's values in turn and yield its report. Raises StoreUnavailable.

    `seconds`: for about so long values of an app are deleted; the next run does the rest.
    """
    for model in sorted(sealed_models(), key=lambda model: model.values_of):
        app = model.values_of
        remote = remote_store(app)
        if remote is not None:
            yield app, _reconcile_app(model, remote, force, None if dry_run else seconds)
        else:  # a value is deleted in the same transaction as its row
            yield app, Report()


def _reconcile_app(
    model: type[Sealed], store: ValueStore, force: bool, seconds: float | None
) -> Report:
    needed, notes = _needed(model), Leftover.objects.filter(app=model.values_of)
    doubt = cache(partial(too_many_lack, model, store))
    # In a store that is not ours each would be missing, which counts as deleted.
    is_doubted = seconds is not None and notes.exists() and doubt()
    deleted, failed, seconds = _delete_noted(model, store, 0.0 if is_doubted else seconds)
    report = reconcile(store, partial(_explained, model), force=force, seconds=seconds, doubt=doubt)
    foreign = not report.values and needed is not None and needed == _needed(model)
    return replace(
        report,
        foreign=foreign,
        leftovers=deleted,
        failed=failed + report.failed,
        noted=notes.count(),
        doubted=report.doubted or (is_doubted and not foreign),
    )


def _delete_noted(
    model: type[Sealed], store: ValueStore, seconds: float | None
) -> tuple[int, int, float | None]:
    """Delete leftovers; return how many went, and failed, and the seconds that are left."""
    if seconds is None:
        return 0, 0, None
    began = time.monotonic()
    deleted, failed = delete_noted(model.values_of, store, model.values_in_use, seconds)
    return deleted, failed, seconds - (time.monotonic() - began)


def _explained(model: type[Sealed], names: Collection[str]) -> set[str]:
    """Return those of `names` that a row points to, or that are noted for deletion."""
    return model.values_in_use(names) | noted(names)


def _needed(model: type[Sealed]) -> str | None:
    """Return the name of a value that should be there: the oldest that is not marked as lost."""
    rows = model._base_manager.exclude(value_name__in=marked()).order_by("pk")
    return rows.values_list("value_name", flat=True).first()


def reconcile(
    store: ValueStore,
    in_use: FindUsedNames,
    *,
    force: bool = False,
    seconds: float | None = math.inf,
    doubt: Callable[[], bool] = lambda: False,
) -> Report:
    """Delete orphans, unless they are more than a tenth and `force` is not given.

    They are deleted for about `seconds`; None: they are only counted. `doubt`: whether the store
    may have the values of another database, a newer one; then none goes. Reads no value; holds at
    most BATCH names and MAX_DELETED orphans. Raises StoreUnavailable.
    """
    survey = _Survey(in_use)
    for found in store.list():
        survey.add(found.name, found.age is not None and found.age >= MIN_AGE)
    survey.compare()
    report = partial(Report, survey.values, survey.orphan_count)
    if seconds is None or not survey.orphan_count or is_deletion_held():
        return report()
    if exceeds_tenth(survey.orphan_count, survey.values) and not force:
        return report(refused=True)
    if doubt():
        return report(doubted=True)

    def may_go(names: Collection[str]) -> set[str]:
        return set(names) - in_use(names)  # again, because a long listing came in between

    deleted, failed = delete_each(store, survey.orphans, may_go, seconds)
    return report(deleted=len(deleted), failed=failed)


class _Survey:
    """Counts values and finds orphans, comparing names with rows in batches."""

    def __init__(self, in_use: FindUsedNames) -> None:
        self._in_use = in_use
        self._waiting: list[str] = []
        self.values = self.orphan_count = 0
        self.orphans: list[str] = []

    def add(self, name: str, is_old: bool) -> None:
        self.values += 1
        if is_old:
            self._waiting.append(name)
        if len(self._waiting) >= BATCH:
            self.compare()

    def compare(self) -> None:
        used = self._in_use(self._waiting) if self._waiting else set()
        orphans = [name for name in self._waiting if name not in used]
        self.orphan_count += len(orphans)
        self.orphans += orphans[: MAX_DELETED - len(self.orphans)]
        self._waiting = []

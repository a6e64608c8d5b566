"""Re-wrapping: data keys move under the primary key while the service runs.

Only the wrapping changes, never a value. A row is written by `UPDATE … WHERE wrapped_key = old`:
one that was deleted meanwhile stays deleted, and one that got a new value keeps it. The rows
themselves say what is left to do, so the next run continues one that was killed.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from django.db import models, transaction
from django.db.models import Q

from fugata_core.clock import now
from vault_app import keycheck
from vault_app.backends import key_provider
from vault_app.errors import (
    DecryptionFailed,
    KeyUnavailable,
    KeyVersionGone,
    VaultError,
)
from vault_app.keys.local import RELOAD_INTERVAL
from vault_app.keys.wrapped_key import provider_of
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models
from vault_app.side_by_side import Attempts, NotTried, side_by_side
from vault_app.versions import as_bytes, newest_version, settles_at, with_version

logger = logging.getLogger(__name__)

#: Rows read, re-wrapped and written together, in one short transaction.
BATCH = 200
#: Passes at most, and the pause between two in seconds, while rows still turn up under another
#: key: a process that has not noticed the primary writes them.
MAX_PASSES, PASS_PAUSE = 20, 0.5
#: Seconds after which every process has noticed a new primary.
SETTLE = 2 * RELOAD_INTERVAL


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some rows: `moved`, or they stay as they are.

    `damaged`: they do not open. `barred`: the key service no longer opens the version of the key
    that wrapped them. `failure`: what kept the others from being moved, which may pass.
    """

    moved: int
    damaged: int
    barred: int = 0
    failure: KeyUnavailable | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    pk: int
    context: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Outdated:
    """Which data keys are to be re-wrapped: those under `keys`, and under older versions of the
    primary than `newest`, if that is not None. `everything`: all of them.
    """

    primary: str
    keys: tuple[str, ...]
    newest: int | None = None
    everything: bool = False

    def rows(self, model: type[Sealed]) -> models.QuerySet[Sealed]:
        """Return the rows of a table that have such a data key."""
        rows = model._base_manager.all()
        if self.everything:
            return rows
        wanted = Q(key__in=self.keys)
        if self.newest is not None:
            rows = with_version(rows, self.primary)
            older = as_bytes(self.primary, self.newest)
            wanted |= Q(key=self.primary, key_version__lt=older)
        return rows.filter(wanted)

    def count(self) -> int:
        """Return how many there are."""
        return sum(self.rows(model).count() for model in sealed_models())


def other_keys(source: str | None = None) -> list[str]:
    """Return the ids of the keys that the database knows, except the primary.

    `source`: only those of that provider.
    """
    known = KeyEncryptionKey.objects.exclude(id=key_provider().primary)
    return [
        key
        for key in known.values_list("id", flat=True)
        if source is None or provider_of(key) == source
    ]


def outdated(source: str | None = None, *, versions: bool = False) -> Outdated:
    """Return what is not under the primary; `source`: that provider's only.

    `versions`: and what an older version of the primary wrapped. Raises KeyUnavailable.
    """
    newest = newest_version() if versions else None
    return Outdated(key_provider().primary, tuple(other_keys(source)), newest)


def count_outdated(source: str | None = None) -> int:
    """Return how many data keys are not under the primary; `source`: that provider's only."""
    return outdated(source).count()


def rewrap(
    source: str | None = None,
    batch: int = BATCH,
    settle: float = 0.0,
    *,
    versions: bool = False,
) -> Iterator[Batch]:
    """Re-wrap what is `outdated`, in MAX_PASSES passes at most; yield batches.

    Keeps looking for `settle` seconds, for rows of processes that have not noticed the primary yet.
    `versions`: the key check value moves to the newest version too.
    Raises KeyUnavailable: what was done stays done, and another call continues.
    """
    settle_until, stays = time.monotonic() + settle, Batch(0, 0)
    if versions:
        keycheck.renew_check_value()
    for _ in range(MAX_PASSES):
        stays = Batch(0, 0)
        for done in _rewrap_rows(outdated(source, versions=versions), batch):
            stays = Batch(0, stays.damaged + done.damaged, stays.barred + done.barred)
            yield Batch(done.moved, 0)
        left = outdated(source, versions=versions).count() - stays.damaged - stays.barred
        if time.monotonic() >= settle_until and left <= 0:
            break
        time.sleep(PASS_PAUSE)
    if stays.damaged or stays.barred:
        yield stays


def rewrap_all(batch: int = BATCH, settle: float = 0.0) -> Iterator[Batch]:
    """Re-wrap everything that the newest version of the primary has not wrapped.

    If its versions can't be told apart, that is everything, once. Raises KeyUnavailable.
    """
    if newest_version() is not None:
        yield from rewrap(None, batch, settle, versions=True)
        return
    yield from _rewrap_rows(Outdated(key_provider().primary, (), everything=True), batch)


def _rewrap_rows(wanted: Outdated, batch: int) -> Iterator[Batch]:
    """Re-wrap once what is wanted. Raises the failure of a batch, after what it could do."""
    for model in sealed_models():
        last = 0
        # select_related: a row's associated data may name what it belongs to.
        under = wanted.rows(model).select_related().order_by("pk")
        while rows := list(under.filter(pk__gt=last)[:batch]):
            last = rows[-1].pk
            done = _rewrap_batch(model, rows)
            if done.moved or not done.failure:
                yield done
            if done.failure:
                raise done.failure


def _rewrap_batch(model: type[Sealed], rows: list[Sealed]) -> Batch:
    """Re-wrap rows: ask the key provider first, concurrently, and only then take locks."""
    old = [
        _Row(row.pk, row.associated_data().wrap_context(), bytes(row.wrapped_key)) for row in rows
    ]
    new = _rewrapped_keys(old)
    moved = 0
    with transaction.atomic():
        for row, wrapped in zip(old, new, strict=True):
            moved += _write(model, row, wrapped) if isinstance(wrapped, bytes) else 0
    errors = [error for error in new if isinstance(error, VaultError)]
    damaged = sum(isinstance(error, DecryptionFailed) for error in errors)
    barred = sum(isinstance(error, KeyVersionGone) for error in errors)
    return Batch(moved, damaged, barred, _failure(errors))


def _failure(errors: list[VaultError]) -> KeyUnavailable | None:
    """Return what kept rows from being moved and may pass, if anything did."""
    failures = [error for error in errors if isinstance(error, KeyUnavailable)]
    failures = [error for error in failures if not isinstance(error, KeyVersionGone)]
    return min(failures, key=lambda error: isinstance(error, NotTried), default=None)


def _write(model: type[Sealed], row: _Row, wrapped: bytes) -> int:
    unchanged = model._base_manager.filter(pk=row.pk, wrapped_key=row.wrapped)
    return unchanged.update(wrapped_key=wrapped, key=key_provider().key_of(wrapped))


def _rewrapped_keys(rows: list[_Row]) -> list[bytes | VaultError]:
    return side_by_side(_rewrapped_key, rows)


def _rewrapped_key(attempts: Attempts, row: _Row) -> bytes:
    keys = key_provider()
    data_key = attempts.patiently(partial(keys.unwrap, row.wrapped, row.context))
    return attempts.patiently(partial(keys.wrap, data_key, row.context))


def request_rewrap(*, versions: bool = False) -> None:
    """Have the worker re-wrap everything under the primary; it continues until that is done.

    `versions`: also what older versions of the primary wrapped.
    """
    primary = KeyEncryptionKey.objects.filter(id=key_provider().primary)
    asked = {"rewrap_asked_at": now()}  # SQLite's own format would not compare as text
    primary.update(**asked, **({"rewrap_versions": True} if versions else {}))


def run_requested(seconds: float) -> int:
    """Re-wrap what was requested, for about `seconds`; return how many data keys that were.

    The next call does the rest. Raises KeyUnavailable.
    """
    asked = KeyEncryptionKey.objects.filter(rewrap_asked_at__isnull=False)
    requested_at = asked.aggregate(at=models.Max("rewrap_asked_at"))["at"]
    if requested_at is None:
        return 0
    versions = asked.filter(rewrap_versions=True).exists()
    deadline, moved = time.monotonic() + seconds, 0
    for batch in rewrap(settle=SETTLE, versions=versions):
        moved += batch.moved
        if batch.damaged or batch.barred:
            logger.error(
                "data keys could not be re-wrapped: %d do not open, %d are under a version of"
                " their key that the key service no longer opens",
                batch.damaged,
                batch.barred,
            )
        if time.monotonic() > deadline:
            return moved
    if versions and settling():
        return moved  # the next call looks again
    done = KeyEncryptionKey.objects.filter(rewrap_asked_at__lte=requested_at)
    done.update(rewrap_asked_at=None, rewrap_versions=False)
    return moved


def settling() -> float:
    """Return for how many seconds requests may still write what an older version wrapped."""
    primary = KeyEncryptionKey.objects.filter(id=key_provider().primary).first()
    until = settles_at(primary) if primary else None
    return max((until - now()).total_seconds(), 0.0) if until else 0.0


def count_data_keys() -> int:
    """Return how many data keys there are."""
    return sum(model._base_manager.count() for model in sealed_models())

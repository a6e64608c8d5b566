"""Re-wrapping: data keys move under the primary key while the service runs.

Only the wrapping changes, never a value. A row is written by `UPDATE … WHERE wrapped_key = old`:
one that was deleted meanwhile stays deleted, and one that got a new value keeps it. The rows
themselves say what is left to do, so the next run continues one that was killed.
"""

import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.db import models, transaction

from fugata_core.clock import now
from vault_app.backends import key_provider
from vault_app.errors import DecryptionFailed
from vault_app.keys.local import RELOAD_INTERVAL
from vault_app.keys.wrapped_key import provider_of
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models
from vault_app.usage import rows_under

#: Rows read, re-wrapped and written together, in one short transaction.
BATCH = 200
#: Passes at most, and the pause between two in seconds, while rows still turn up under another
#: key: a process that has not noticed the primary writes them.
MAX_PASSES, PASS_PAUSE = 20, 0.5
#: Seconds after which every process has noticed a new primary.
SETTLE = 2 * RELOAD_INTERVAL


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some rows: `moved`, or `damaged` (they do not open, and stay as they are)."""

    moved: int
    damaged: int


@dataclass(frozen=True, slots=True)
class _Row:
    pk: int
    context: bytes
    wrapped: bytes


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


def count_outdated(source: str | None = None) -> int:
    """Return how many data keys are not under the primary; `source`: that provider's only."""
    return rows_under(other_keys(source))


def rewrap(source: str | None = None, batch: int = BATCH, settle: float = 0.0) -> Iterator[Batch]:
    """Re-wrap what is not under the primary, in MAX_PASSES passes at most; yield batches.

    `source`: only what that provider wrapped. Keeps looking for `settle` seconds, for rows
    of processes that have not noticed the primary yet. Raises KeyUnavailable: what was done stays
    done, and another call continues.
    """
    settle_until, damaged = time.monotonic() + settle, 0
    for _ in range(MAX_PASSES):
        damaged = 0
        for done in _rewrap_rows(other_keys(source), batch):
            damaged += done.damaged
            yield Batch(done.moved, 0)
        if time.monotonic() >= settle_until and count_outdated(source) <= damaged:
            break
        time.sleep(PASS_PAUSE)
    if damaged:
        yield Batch(0, damaged)


def rewrap_all(batch: int = BATCH) -> Iterator[Batch]:
    """Re-wrap everything once, even under the primary: a key service's key has versions."""
    return _rewrap_rows(None, batch)


def _rewrap_rows(keys: Collection[str] | None, batch: int) -> Iterator[Batch]:
    for model in sealed_models():
        last = 0
        # select_related: a row's associated data may name what it belongs to.
        under = _under(model, keys).select_related().order_by("pk")
        while rows := list(under.filter(pk__gt=last)[:batch]):
            last = rows[-1].pk
            yield _rewrap_batch(model, rows)


def _under(model: type[Sealed], keys: Collection[str] | None) -> models.QuerySet[Sealed]:
    rows = model._base_manager.all()
    return rows if keys is None else rows.filter(key__in=keys)


def _rewrap_batch(model: type[Sealed], rows: list[Sealed]) -> Batch:
    """Re-wrap rows: ask the key provider first, concurrently, and only then take locks."""
    old = [
        _Row(row.pk, row.associated_data().wrap_context(), bytes(row.wrapped_key)) for row in rows
    ]
    new = _rewrapped_keys(old)
    moved = 0
    with transaction.atomic():
        for row, wrapped in zip(old, new, strict=True):
            moved += _write(model, row, wrapped) if wrapped else 0
    return Batch(moved, new.count(None))


def _write(model: type[Sealed], row: _Row, wrapped: bytes) -> int:
    unchanged = model._base_manager.filter(pk=row.pk, wrapped_key=row.wrapped)
    return unchanged.update(wrapped_key=wrapped, key=key_provider().key_of(wrapped))


def _rewrapped_keys(rows: list[_Row]) -> list[bytes | None]:
    at_once = key_provider().concurrency
    if at_once == 1:
        return [_rewrapped_key(row) for row in rows]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(_rewrapped_key, rows))


def _rewrapped_key(row: _Row) -> bytes | None:
    keys = key_provider()
    try:
        return keys.wrap(keys.unwrap(row.wrapped, row.context), row.context)
    except DecryptionFailed:
        return None


def request_rewrap() -> None:
    """Have the worker re-wrap everything under the primary; it continues until that is done."""
    primary = KeyEncryptionKey.objects.filter(id=key_provider().primary)
    primary.update(rewrap_asked_at=now())  # SQLite's own format would not compare as text


def run_requested(seconds: float) -> int:
    """Re-wrap what was requested, for about `seconds`; return how many data keys that were.

    The next call does the rest. Raises KeyUnavailable.
    """
    requested_at = KeyEncryptionKey.objects.aggregate(at=models.Max("rewrap_asked_at"))["at"]
    if requested_at is None:
        return 0
    deadline, moved = time.monotonic() + seconds, 0
    for batch in rewrap(settle=SETTLE):
        moved += batch.moved
        if time.monotonic() > deadline:
            return moved
    KeyEncryptionKey.objects.filter(rewrap_asked_at__lte=requested_at).update(rewrap_asked_at=None)
    return moved


def count_data_keys() -> int:
    """Return how many data keys there are."""
    return sum(model._base_manager.count() for model in sealed_models())

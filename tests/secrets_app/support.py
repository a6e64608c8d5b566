"""Shares and threads for the sharing app's tests."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import connection
from hypothesis import strategies as st

from audit_app.actors import SERVICE
from audit_app.models import AuditEvent
from fugata_core import tokens
from secrets_app.actions.create import CreatedShare, Draft, create_share
from secrets_app.models import Share
from secrets_app.persistence import ShareTable
from vault_app.backends import value_store

T = TypeVar("T")

#: Any text that JSON can carry, NUL and all; UTF-8 has no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


def share(
    content: str = "s3cret", *, one_time: bool = True, label: str | None = None
) -> CreatedShare:
    """Create a share for an hour."""
    return create_share(Draft(content, "1h", one_time, label), SERVICE)


def row_of(created: CreatedShare) -> Share:
    """Return what the database keeps of a share."""
    return Share.objects.get(digest=tokens.digest(created.share_id))


def kept() -> int:
    """Return how many of shares' values the configured store has."""
    return sum(1 for _ in value_store().list())


def replace_value(created: CreatedShare, change: Callable[[bytes], bytes]) -> None:
    """Put other bytes in the place of a share's value, as somebody who holds the store could."""
    store, name = value_store(), row_of(created).value_name
    sealed = store.get(name)
    store.delete(name)
    store.put(name, change(sealed))


def expire(created: CreatedShare) -> None:
    """Put the share's end into the past."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    Share.objects.filter(digest=tokens.digest(created.share_id)).update(expires_at=past)


def new_share(seconds: float = 3600, **fields: Any) -> Share:
    """Return a share to register, which expires in `seconds` (or did)."""
    usual = {
        "digest": secrets.token_bytes(32),
        "deletion_digest": secrets.token_bytes(32),
        "wrapped_key": b"wrapped",
        "key_id": "test",
        "value_name": secrets.token_hex(16),
        "size": 3,
        "label": "label",
        "one_time": True,
        "expires_at": datetime.now(UTC) + timedelta(seconds=seconds),
    }
    return Share(**usual | fields)


def put(table: ShareTable, seconds: float = 3600, sealed: bytes | None = b"sealed") -> Share:
    """Register a share that expires in `seconds` and return it."""
    share = new_share(seconds)
    table.insert(share, sealed, SERVICE)
    return share


def kinds(digest: bytes) -> list[str]:
    """Return what happened to the share of that digest, in order."""
    events = AuditEvent.objects.filter(share_digest=digest).order_by("pk")
    return list(events.values_list("kind", flat=True))


def at_once(count: int, rounds: int, work: Callable[[int], T]) -> list[list[T]]:
    """Run `work(round)` in `count` threads that begin each round together; results by round."""
    barrier = threading.Barrier(count, timeout=120)

    def run(_: int) -> list[T]:
        try:
            return [_together(barrier, work, number) for number in range(rounds)]
        except BaseException:
            barrier.abort()
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        by_thread = list(pool.map(run, range(count)))
    return [list(results) for results in zip(*by_thread, strict=True)]


def _together(barrier: threading.Barrier, work: Callable[[int], T], number: int) -> T:
    barrier.wait()
    return work(number)

"""Lookups: what an access token learns without reading a value, counted per minute.

These are lists of keys, questions whether a key is there, and keys that are not. Whoever found a
token begins with them; programs poll with them, so that an event each would fill the trail.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from audit_app.actors import Actor
from audit_app.minute_counts import convert_past, this_minute
from audit_app.models import AuditEvent, LookupCount
from fugata_core.errors import NotFound
from fugata_core.limits import ROW
from fugata_core.row_locks import KeyedBulkhead, row_place
from fugata_core.tokens import cut_secrets

_ROWS = KeyedBulkhead(ROW)

_COUNT = """
INSERT INTO audit_app_lookupcount (minute, username, token, address_hash, repository, count)
VALUES (%s, %s, %s, %s, %s, 1)
ON CONFLICT (minute, username, token, address_hash, repository)
DO UPDATE SET count = audit_app_lookupcount.count + 1
"""


def count_lookup(actor: Actor, repository: str) -> None:
    """Count one lookup in `repository` by the token of `actor`. Raises RowLocked.

    A token's rate limit bounds how many rows it makes in a minute.
    """
    minute, address = this_minute(), actor.address_hash or b""
    row = (minute, cut_secrets(actor.username), actor.token, address, cut_secrets(repository))
    with row_place(_ROWS, row), connection.cursor() as cursor:
        cursor.execute(_COUNT, row)


@contextmanager
def misses_counted(actor: Actor, repository: str) -> Iterator[None]:
    """Count a lookup if the block raises NotFound."""
    try:
        yield
    except NotFound:
        count_lookup(actor, repository)
        raise


def convert_lookups_to_events() -> int:
    """Turn each count of a past minute into one event; return how many."""
    return convert_past(LookupCount.objects.all(), _event)


def _event(lookups: LookupCount) -> AuditEvent:
    return AuditEvent(
        kind=AuditEvent.Kind.LOOKED_UP,
        address_hash=bytes(lookups.address_hash) or None,
        count=lookups.count,
        request_id="",
        username=lookups.username,
        token=lookups.token,
        repository=lookups.repository,
    )

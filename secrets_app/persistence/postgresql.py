"""The table of shares on PostgreSQL: each effect is one statement that includes its audit event.

One round trip and one commit instead of five makes creating and opening as cheap as possible.
Outside a transaction, each statement is its own transaction.
"""

from typing import Any

from django.db import connection
from django.db.models import NOT_PROVIDED

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from audit_app.trail import ACTOR_COLUMNS, ACTOR_VALUES, actor_parameters
from fugata_core.limits import ROW
from fugata_core.row_locks import KeyedBulkhead
from secrets_app.models import Share
from secrets_app.persistence.base import ShareTable

_EVENT = f"INSERT INTO audit_app_auditevent (kind, share_digest, {ACTOR_COLUMNS})"

#: A share's columns, as its model names them; those that the database fills in are not inserted.
_FIELDS = tuple(field.attname for field in Share._meta.concrete_fields)
_INSERTED = tuple(
    field.attname
    for field in Share._meta.concrete_fields
    if not field.primary_key and field.db_default is NOT_PROVIDED
)

_INSERT = f"""
WITH value AS (
    INSERT INTO vault_app_storedvalue (name, sealed)
    SELECT %(value_name)s, %(sealed)s::bytea WHERE %(sealed)s::bytea IS NOT NULL
), event AS (
    {_EVENT} VALUES ('created', %(digest)s, {ACTOR_VALUES})
)
INSERT INTO secrets_app_share ({", ".join(_INSERTED)})
VALUES ({", ".join(f"%({name})s" for name in _INSERTED)})
"""

_LOAD = f"""
SELECT {", ".join(f"share.{name}" for name in _FIELDS)}, value.sealed
FROM secrets_app_share share
LEFT JOIN vault_app_storedvalue value ON value.name = share.value_name
WHERE share.digest = %s AND share.expires_at > statement_timestamp()
"""

# The claim of a one-time share, and every other deletion.
_REMOVE = f"""
WITH gone AS (
    DELETE FROM secrets_app_share
    WHERE digest = %(digest)s AND expires_at > statement_timestamp()
    RETURNING value_name
), value AS (
    DELETE FROM vault_app_storedvalue USING gone WHERE name = gone.value_name
)
{_EVENT} SELECT %(kind)s, %(digest)s, {ACTOR_VALUES} FROM gone
"""

_RECORD_OPENING = f"""
{_EVENT} SELECT 'opened', digest, {ACTOR_VALUES}
FROM secrets_app_share WHERE digest = %(digest)s AND expires_at > statement_timestamp()
"""

# ANY (ARRAY(…)), because a join with an unknown LIMIT may be planned as a scan of the whole table.
_PURGE = f"""
WITH expired AS (
    SELECT id FROM secrets_app_share WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM secrets_app_share WHERE id = ANY (ARRAY(SELECT id FROM expired))
    RETURNING digest, value_name
), value AS (
    DELETE FROM vault_app_storedvalue WHERE name = ANY (ARRAY(SELECT value_name FROM gone))
), event AS (
    {_EVENT} SELECT 'expired', digest, {ACTOR_VALUES} FROM gone
)
SELECT value_name FROM gone
"""


class PostgresqlShareTable(ShareTable):
    """Under READ COMMITTED, a second DELETE waits for the first, then finds nothing.

    Few threads wait for one row (fugata_core/limits.py).
    """

    def __init__(self) -> None:
        self._rows = KeyedBulkhead(ROW)

    def insert(self, share: Share, sealed: bytes | None, actor: Actor) -> None:
        columns = {name: getattr(share, name) for name in _INSERTED}
        _execute(_INSERT, columns | {"sealed": sealed} | actor_parameters(actor))

    def load(self, digest: bytes) -> tuple[Share, bytes | None] | None:
        with connection.cursor() as cursor:
            cursor.execute(_LOAD, (digest,))
            row = cursor.fetchone()
        return (Share.from_db(connection.alias, _FIELDS, row[:-1]), row[-1]) if row else None

    def remove(self, digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        parameters = {"digest": digest, "kind": str(kind)} | actor_parameters(actor)
        with self._rows.place(digest):
            return _execute(_REMOVE, parameters) == 1

    def record_opening(self, digest: bytes, actor: Actor) -> bool:
        return _execute(_RECORD_OPENING, {"digest": digest} | actor_parameters(actor)) == 1

    def purge(self, limit: int) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(_PURGE, {"limit": limit} | actor_parameters(SERVICE))
            return [name for (name,) in cursor.fetchall()]


def _execute(statement: str, parameters: dict[str, Any]) -> int:
    """Run `statement` and return how many rows its final INSERT wrote."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)

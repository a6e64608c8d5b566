"""The register on PostgreSQL: each effect is one statement, its audit event a part of it.

One round trip and one commit instead of five: that is what creating and opening cost least.
Outside a transaction a statement is a transaction of its own.
"""

from typing import Any

from django.db import connection

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from secrets_app.persistence.base import LoadedShare, NewShare, Registry

_EVENT = """
INSERT INTO audit_app_auditevent (kind, share_digest, address_hash, request_id, username)"""

_INSERT = f"""
WITH value AS (
    INSERT INTO vault_app_storedvalue (name, sealed)
    SELECT %(value_name)s, %(sealed)s::bytea WHERE %(sealed)s::bytea IS NOT NULL
), event AS (
    {_EVENT} VALUES ('created', %(digest)s, %(address)s, %(request)s, %(username)s)
)
INSERT INTO secrets_app_share
    (digest, deletion_digest, wrapped_key, key_id, value_name, size, label, one_time,
     expires_at, client)
VALUES (%(digest)s, %(deletion_digest)s, %(wrapped_key)s, %(key_id)s, %(value_name)s, %(size)s,
        %(label)s, %(one_time)s, %(expires_at)s, %(client)s)
"""

_LOAD = """
SELECT share.wrapped_key, share.value_name, share.label, share.one_time, share.expires_at,
       value.sealed
FROM secrets_app_share share
LEFT JOIN vault_app_storedvalue value ON value.name = share.value_name
WHERE share.digest = %s AND share.expires_at > statement_timestamp()
"""

_REMOVE = f"""
WITH gone AS (
    DELETE FROM secrets_app_share
    WHERE digest = %(digest)s AND expires_at > statement_timestamp()
    RETURNING value_name
), value AS (
    DELETE FROM vault_app_storedvalue USING gone WHERE name = gone.value_name
)
{_EVENT} SELECT %(kind)s, %(digest)s, %(address)s, %(request)s, %(username)s FROM gone
"""

_NOTE_OPENING = f"""
{_EVENT} SELECT 'opened', digest, %(address)s, %(request)s, %(username)s
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
    {_EVENT} SELECT 'expired', digest, NULL, %(request)s, '' FROM gone
)
SELECT value_name FROM gone
"""


class PostgresqlRegistry(Registry):
    """Under READ COMMITTED a second DELETE waits for the first, then finds nothing."""

    def insert(self, share: NewShare, sealed: bytes | None, actor: Actor) -> None:
        parameters = {
            "digest": share.digest,
            "deletion_digest": share.deletion_digest,
            "wrapped_key": share.wrapped_key,
            "key_id": share.key_id,
            "value_name": share.value_name,
            "size": share.size,
            "label": share.label,
            "one_time": share.one_time,
            "expires_at": share.expires_at,
            "client": share.client,
            "sealed": sealed,
        }
        _execute(_INSERT, parameters | _who(actor))

    def load(self, digest: bytes) -> LoadedShare | None:
        with connection.cursor() as cursor:
            cursor.execute(_LOAD, (digest,))
            row = cursor.fetchone()
        return LoadedShare(*row) if row else None

    def remove(self, digest: bytes, kind: AuditEvent.Kind, actor: Actor) -> bool:
        return _execute(_REMOVE, {"digest": digest, "kind": str(kind)} | _who(actor)) == 1

    def note_opening(self, digest: bytes, actor: Actor) -> bool:
        return _execute(_NOTE_OPENING, {"digest": digest} | _who(actor)) == 1

    def purge(self, limit: int) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(_PURGE, {"limit": limit, "request": SERVICE.request_id})
            return [name for (name,) in cursor.fetchall()]


def _who(actor: Actor) -> dict[str, Any]:
    return {
        "address": actor.address_hash,
        "request": actor.request_id,
        "username": actor.username,
    }


def _execute(statement: str, parameters: dict[str, Any]) -> int:
    """Run `statement` and return how many rows its last part wrote."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)

"""The tables on PostgreSQL: each lookup that every request needs is one statement.

So is setting a secret whose value is stored elsewhere, including its audit event. Outside a
transaction, each statement is its own transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection

from audit_app.actors import Actor
from audit_app.trail import ACTOR_COLUMNS, ACTOR_VALUES, actor_parameters, recorded
from fugata_core.callers import Caller
from fugata_core.errors import RowLocked
from fugata_core.limits import REFERENCES, ROW
from fugata_core.row_locks import KeyedBulkhead
from repositories_app.persistence.base import AccessTable, LiveToken, LoadedSecret, SecretRef
from repositories_app.persistence.portable import PortableSecretTable
from vault_app.values import SealedValue

_TOKEN = """
SELECT token.digest, token.last_used_at, statement_timestamp(), token.id, token.user_id,
       auth_user.username, token.prefix, token.read_only, token.narrowed
FROM repositories_app_accesstoken token JOIN auth_user ON auth_user.id = token.user_id
WHERE token.digest = %s AND token.revoked_at IS NULL AND auth_user.is_active
  AND (token.expires_at IS NULL OR token.expires_at > statement_timestamp())
"""

_MEMBERSHIP = """
SELECT member.repository_id, member.role
FROM repositories_app_repository repository
JOIN repositories_app_membership member ON member.repository_id = repository.id
WHERE repository.name = %(repository)s AND member.user_id = %(user_id)s
  AND (%(token)s::bigint IS NULL OR EXISTS (
    SELECT FROM repositories_app_accesstoken_repositories reach
    WHERE reach.accesstoken_id = %(token)s AND reach.repository_id = repository.id
  ))
"""

_RECORD_USE = """
UPDATE repositories_app_accesstoken SET last_used_at = statement_timestamp() WHERE id = (
    SELECT id FROM repositories_app_accesstoken
    WHERE id = %(token)s AND (
        last_used_at IS NULL OR last_used_at < statement_timestamp() - %(resolution)s::interval
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
"""

_LOAD = """
SELECT secret.wrapped_key, secret.value_name, value.sealed
FROM repositories_app_repositorysecret secret
LEFT JOIN vault_app_storedvalue value ON value.name = secret.value_name
WHERE secret.repository_id = %s AND secret.secret_key = %s
"""

# FOR UPDATE waits for another writer and then sees the value_name that *it* wrote. A row that
# another writer creates or removes meanwhile is invisible to this statement, which then writes
# nothing.
_WRITE = f"""
WITH old AS MATERIALIZED (
    SELECT id, value_name FROM repositories_app_repositorysecret
    WHERE repository_id = %(repository_id)s AND secret_key = %(secret_key)s FOR UPDATE
), replaced AS (
    UPDATE repositories_app_repositorysecret secret
    SET wrapped_key = %(wrapped_key)s, key_id = %(key_id)s, value_name = %(value_name)s,
        size = %(size)s, updated_at = statement_timestamp()
    FROM old WHERE secret.id = old.id
    RETURNING old.value_name
), made AS (
    INSERT INTO repositories_app_repositorysecret
        (repository_id, secret_key, wrapped_key, key_id, value_name, size)
    SELECT %(repository_id)s, %(secret_key)s, %(wrapped_key)s, %(key_id)s, %(value_name)s, %(size)s
    WHERE NOT EXISTS (SELECT FROM old)
    ON CONFLICT (repository_id, secret_key) DO NOTHING
    RETURNING NULL::varchar AS value_name
), written AS (
    SELECT value_name FROM replaced UNION ALL SELECT value_name FROM made
), event AS (
    INSERT INTO audit_app_auditevent
        (kind, repository, secret_key, {ACTOR_COLUMNS})
    SELECT 'set', %(recorded_repository)s, %(recorded_key)s, {ACTOR_VALUES} FROM written
)
SELECT value_name FROM written
"""


class PostgresqlAccessTable(AccessTable):
    """One prepared statement each."""

    def find_token(self, digest: bytes) -> LiveToken | None:
        row = _row(_TOKEN, (digest,))
        if row is None:
            return None
        stored, last_used_at, now, *caller = row
        return LiveToken(stored, last_used_at, now, Caller(*caller))

    def find_membership(
        self, repository: str, user_id: int, narrowed_token_id: int | None
    ) -> tuple[int, str] | None:
        parameters = {"repository": repository, "user_id": user_id, "token": narrowed_token_id}
        row: tuple[int, str] | None = _row(_MEMBERSHIP, parameters)
        return row

    def record_use(self, token_id: int, resolution: timedelta) -> None:
        parameters: dict[str, Any] = {"token": token_id, "resolution": resolution}
        with connection.cursor() as cursor:
            cursor.execute(_RECORD_USE, parameters)


class PostgresqlSecretTable(PortableSecretTable):
    """Under READ COMMITTED, the second writer waits for the first, then sees its result.

    Few threads wait for one row, or for one repository (fugata_core/limits.py).
    """

    def __init__(self) -> None:
        self._rows, self._repositories = KeyedBulkhead(ROW), KeyedBulkhead(REFERENCES)

    def load(self, repository_id: int, secret_key: str) -> LoadedSecret | None:
        row = _row(_LOAD, (repository_id, secret_key))
        return LoadedSecret(*row) if row else None

    def require_unlocked(self, ref: SecretRef) -> None:
        if self._rows.would_refuse(_row_key(ref)) or self._repositories.would_refuse(
            ref.repository_id
        ):
            raise RowLocked()

    def write(self, ref: SecretRef, value: SealedValue, actor: Actor) -> str | None:
        with self._place(ref):
            # A single statement cannot see values committed after it began, and so could not
            # delete the one that it replaces.
            row = _write(ref, value, actor) if value.sealed is None else None
            return row[0] if row else super().write(ref, value, actor)

    def remove(self, ref: SecretRef, actor: Actor) -> str | None:
        with self._place(ref):
            return super().remove(ref, actor)

    @contextmanager
    def _place(self, ref: SecretRef) -> Iterator[None]:
        row = self._rows.place(_row_key(ref))
        with row, self._repositories.place(ref.repository_id):
            yield


def _row_key(ref: SecretRef) -> tuple[int, str]:
    return ref.repository_id, ref.secret_key


def _write(ref: SecretRef, value: SealedValue, actor: Actor) -> tuple[str | None] | None:
    """Return the name of the replaced value, if any; None if nothing was written."""
    row: tuple[str | None] | None = _row(
        _WRITE, value.columns() | _parameters(ref) | actor_parameters(actor)
    )
    return row


def _parameters(ref: SecretRef) -> dict[str, Any]:
    event = recorded(repository=ref.repository, secret_key=ref.secret_key)
    return {
        "repository_id": ref.repository_id,
        "secret_key": ref.secret_key,
        "recorded_repository": event["repository"],
        "recorded_key": event["secret_key"],
    }


def _row(statement: str, parameters: Any) -> Any:
    """Run `statement` and return its first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()

"""Sessions of the console, kept under the digest of their key: reading the database, or a back-up,
is not enough to take over a session (settings.SESSION_ENGINE).
"""

from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

from fugata_core import tokens
from fugata_core.limits import ROW
from fugata_core.row_locks import KeyedBulkhead, row_place

_SESSIONS = KeyedBulkhead(ROW)


class SessionStore(db.SessionStore):
    """Django's database sessions; the key itself is only in the browser's cookie."""

    @staticmethod
    def hash_key(session_key: str) -> str:
        """Return what the table stores instead of a key: 160 bits of its SHA-256, in hex."""
        return tokens.digest(session_key).hex()[:40]

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        key = self.session_key
        rows = self.model.objects.filter(expire_date__gt=timezone.now())
        row = rows.filter(session_key=self.hash_key(key)).first() if key else None
        if row is None:
            self._session_key = None
        return row

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row of this session."""
        row = super().create_model_instance(data)
        row.session_key = self.hash_key(row.session_key)
        return row

    def save(self, must_create: bool = False) -> None:
        """Save the session. Raises RowLocked, and what Django raises.

        Django says of a database that failed that the session is gone, which would be a 400.
        """
        with row_place(_SESSIONS, self.session_key):
            try:
                super().save(must_create)
            except UpdateError as error:
                failed = error.__context__
                if failed is not None and failed.__cause__:  # what the driver raised
                    raise failed from failed.__cause__
                raise

    def exists(self, session_key: str) -> bool:
        """Return whether there is a session of that key."""
        return super().exists(self.hash_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        """Forget a session: this one, unless a key is given."""
        key = session_key or self.session_key
        if key is not None:
            super().delete(self.hash_key(key))

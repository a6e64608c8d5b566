"""What new sessions of Fugata's role are set to, in its database.

Start-up options would do it too, but PgBouncer refuses those.
"""

from contextlib import suppress

from django.db import DataError, connection, transaction

from fugata_core.row_locks import LOCK_TIMEOUT

#: How often the server looks whether somebody still waits for a statement; it ends those that
#: nobody does. To cancel them would also end a commit's wait for its synchronous standby.
CHECK_CLIENT = "5s"
# Whether there is a value, or the role or the database has been given one (which may be 0: none).
_CHOSEN = """
SELECT current_setting(%s) <> '0' OR EXISTS (
    SELECT FROM pg_db_role_setting, unnest(setconfig) setting
    WHERE starts_with(setting, %s)
      AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
      AND setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
), current_database()
"""


def give_settings() -> None:
    """Give this session, and new ones of its role in its database, what Fugata relies on.

    Unless an operator has chosen otherwise. One process at a time may do it (fugata_core.turns).
    Raises DatabaseError.
    """
    if connection.vendor != "postgresql":
        return
    _give("lock_timeout", LOCK_TIMEOUT)
    with suppress(DataError):  # a server on Windows can't
        _give("client_connection_check_interval", CHECK_CLIENT)


def _give(setting: str, value: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CHOSEN, [setting, f"{setting}="])
        chosen, database = cursor.fetchone()
        if not chosen:
            # (Django's quote_name does not double the quotes inside a name.)
            name = database.replace('"', '""')
            change = f"SET {setting} = '{value}'"
            cursor.execute(f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" {change}')
            cursor.execute(change)

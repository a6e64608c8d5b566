"""The parts without which nothing is served, and a probe for each."""

from collections.abc import Callable

from django.db import connection

from vault_app.backends import key_provider, value_store


def ask_database() -> None:
    """Raise the driver's error if it does not answer, and close the connection."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        connection.close()
        raise


def ask_value_store() -> None:
    """Raise StoreUnavailable unless values can be stored and read right now."""
    value_store().check()


def ask_key_provider() -> None:
    """Raise KeyUnavailable unless data keys can be wrapped right now."""
    key_provider().check()


#: Probes by what /healthz says if one fails, in the order in which they run.
PARTS: dict[str, Callable[[], None]] = {
    "Database connection failed": ask_database,
    "Value store unavailable": ask_value_store,
    "Key provider unavailable": ask_key_provider,
}

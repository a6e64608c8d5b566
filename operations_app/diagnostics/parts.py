"""The parts without which nothing is served, and how each is asked whether it is there."""

from collections.abc import Callable

from django.db import connection

from vault_app.backends import key_provider, value_store


def ask_database() -> None:
    """Raise what the driver raises where it does not answer; the connection is dropped then."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        connection.close()
        raise


def ask_value_store() -> None:
    """Raise StoreUnavailable unless values can be kept and read just now."""
    value_store().check()


def ask_key_provider() -> None:
    """Raise KeyUnavailable unless keys can be wrapped just now."""
    key_provider().check()


#: By what /healthz says where one does not answer, in the order in which they are asked.
PARTS: dict[str, Callable[[], None]] = {
    "Database connection failed": ask_database,
    "Value store unavailable": ask_value_store,
    "Key provider unavailable": ask_key_provider,
}

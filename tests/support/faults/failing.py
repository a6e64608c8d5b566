"""A value store that fails in a way that nobody foresaw, and says more than it should."""

from vault_app.stores.database import DatabaseStore

LEAKED_ID = "fug_" + "LeakedByAnException001"
LEAKED_TOKEN = "tok_" + "LeakedByAnException002"


class FailingStore(DatabaseStore):
    """Keeps nothing."""

    transactional = False

    def put(self, name: str, sealed: bytes) -> None:
        """Fail with a message that holds an id, a token and a place."""
        raise RuntimeError(f"no route to /secrets/{LEAKED_ID} for {LEAKED_TOKEN}, /s/{LEAKED_ID}")

    def check_writable(self) -> None:
        """Say nothing: so its service is well."""

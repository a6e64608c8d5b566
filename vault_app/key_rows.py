"""Places for those who create shares: each row refers to that of its key, which may be locked."""

from fugata_core.errors import RowLocked
from fugata_core.limits import REFERENCES
from fugata_core.row_locks import KeyedBulkhead
from vault_app.backends import key_provider

#: By the key's id. (Those who set a secret are few by its repository.)
KEY_ROWS = KeyedBulkhead(REFERENCES)


def require_unlocked_key() -> None:
    """Raise RowLocked if the primary key's row has been found to be locked: nothing can be kept."""
    if KEY_ROWS.would_refuse(key_provider().primary):
        raise RowLocked()

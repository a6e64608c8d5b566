"""Deleting a value whose row is gone: an answer never waits on it, nor changes because of it."""

import logging

from secrets_app.vault.backends import value_store
from secrets_app.vault.errors import VaultError

logger = logging.getLogger(__name__)


def delete_quietly(name: str) -> None:
    """Delete a remote value whose row is deleted; on failure reconciliation finishes the job."""
    store = value_store()
    if store.transactional:
        return  # it went with its row
    try:
        store.delete(name)
    except VaultError as error:
        logger.warning("a value outlives its row until it is reconciled: %s", error)

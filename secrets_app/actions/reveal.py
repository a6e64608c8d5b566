"""Open a share: read, decrypt, and only then claim it, so that a failure consumes nothing."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record_failure
from fugata_core import tokens
from fugata_core.backpressure import require_place
from fugata_core.metrics import counted
from secrets_app import ids
from secrets_app.errors import DecryptFailed, LostClaim, ShareNotFound
from secrets_app.metrics import SHARES
from secrets_app.persistence import LoadedShare, registry
from secrets_app.sealing import share_associated_data
from vault_app import envelope
from vault_app.backends import value_store
from vault_app.errors import ValueMissing, VaultError
from vault_app.values import delete_quietly

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedShare:
    """An opened share; `content` is UTF-8."""

    content: bytes
    label: str | None
    expires_at: datetime
    one_time: bool


@counted(SHARES, "opened")
def reveal_share(
    share_id: str, actor: Actor, remember: Callable[[OpenedShare], None] | None = None
) -> OpenedShare:
    """Return the content of a live share; a one-time share is handed to this caller alone.

    `remember` runs in the transaction that claims a one-time share. Raises ShareNotFound, or
    DecryptFailed or Overloaded (nothing consumed: it can be opened once that is over).
    """
    if not ids.is_share_id(share_id):
        raise ShareNotFound()
    digest = tokens.digest(share_id)
    try:
        share, content = _read(share_id, digest)
    except DecryptFailed:
        record_failure(AuditEvent.Kind.OPEN_FAILED, actor, share_digest=digest)
        raise
    require_place(len(content))
    opened = OpenedShare(content, share.label, share.expires_at, share.one_time)
    if not share.one_time:
        claimed = registry().note_opening(digest, actor)
    else:
        claimed = _claim(opened, digest, actor, remember)
    if not claimed:
        raise LostClaim()
    if share.one_time:
        delete_quietly(share.value_name)
    return opened


def _read(share_id: str, digest: bytes) -> tuple[LoadedShare, bytes]:
    share = registry().load(digest)
    if share is None:
        raise ShareNotFound()
    try:
        sealed = _sealed_value(share)
        associated_data = share_associated_data(digest, share.expires_at, share.one_time)
        return share, envelope.unseal(
            sealed, share.wrapped_key, associated_data, ids.link_secret(share_id)
        )
    except ValueMissing as error:
        if registry().load(digest) is None:  # opened or purged while we read
            raise ShareNotFound() from error
        raise _failed(error) from error
    except VaultError as error:
        raise _failed(error) from error


def _sealed_value(share: LoadedShare) -> bytes:
    if not value_store().transactional:
        return value_store().get(share.value_name)
    if share.sealed is None:
        raise ValueMissing("the row's value is not in the database")
    return share.sealed


def _failed(error: VaultError) -> DecryptFailed:
    logger.error("a share could not be opened: %s", error)
    return DecryptFailed()


def _claim(
    opened: OpenedShare, digest: bytes, actor: Actor, remember: Callable[[OpenedShare], None] | None
) -> bool:
    if remember is None:  # one statement is its own transaction
        return registry().remove(digest, AuditEvent.Kind.OPENED, actor)
    with transaction.atomic():
        claimed = registry().remove(digest, AuditEvent.Kind.OPENED, actor)
        if claimed:
            remember(opened)
    return claimed

"""Open a share: read it, decrypt it, and only then claim it, so a failure consumes nothing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record_failure
from fugata_core import tokens
from fugata_core.backpressure import require_place
from fugata_core.errors import InternalError, internal_error
from fugata_core.metrics import count_outcomes
from secrets_app import ids
from secrets_app.errors import DecryptFailed, LostClaim, ShareNotFound
from secrets_app.metrics import SHARES
from secrets_app.models import Share
from secrets_app.persistence import share_table
from vault_app import envelope
from vault_app.errors import ValueMissing, VaultError
from vault_app.values import delete_quietly, fetch, noted_in_doubt


@dataclass(frozen=True, slots=True)
class OpenedShare:
    """An opened share; `content` is UTF-8."""

    content: bytes
    label: str | None
    expires_at: datetime
    one_time: bool

    @classmethod
    def of(cls, share: Share, content: bytes) -> Self:
        """Return what a reader of `share` gets."""
        return cls(content, share.label, share.expires_at, share.one_time)


@count_outcomes(SHARES, "opened")
def reveal_share(share_id: str, actor: Actor) -> OpenedShare:
    """Return the content of a live share; a one-time share goes to this caller and nobody else.

    Raises ShareNotFound, DecryptFailed, RowLocked or Overloaded; the last three consume nothing:
    the share can be opened later.
    """
    share, content = read_share(share_id, actor)
    with noted_in_doubt(share.values_of, share.value_name):
        claimed = claim_or_record_opening(share, actor)
    if not claimed:
        raise LostClaim()
    discard_value(share)
    return OpenedShare.of(share, content)


def read_share(share_id: str, actor: Actor) -> tuple[Share, bytes]:
    """Return a live share's row and content, with room reserved for the response; claim nothing.

    Raises what `reveal_share` raises, except LostClaim.
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
    return share, content


def claim_or_record_opening(share: Share, actor: Actor) -> bool:
    """Claim a one-time share for this reader, or record the opening of a reusable one, atomically.

    In the caller's transaction if there is one. False: another caller was first, or it is gone.
    Raises RowLocked.
    """
    digest = bytes(share.digest)
    if share.one_time:
        return share_table().remove(digest, AuditEvent.Kind.OPENED, actor)
    return share_table().record_opening(digest, actor)


def discard_value(share: Share) -> None:
    """Delete the value of a claimed one-time share, after the claim is committed."""
    if share.one_time:
        delete_quietly(share.values_of, share.value_name)


def _read(share_id: str, digest: bytes) -> tuple[Share, bytes]:
    found = share_table().load(digest)
    if found is None:
        raise ShareNotFound()
    share, inline = found
    try:
        sealed = fetch(share.values_of, share.value_name, inline)
        link_secret = ids.link_secret(share_id)
        wrapped = bytes(share.wrapped_key)
        return share, envelope.unseal(sealed, wrapped, share.associated_data(), link_secret)
    except ValueMissing as error:
        if share_table().load(digest) is None:  # opened or purged while we were reading
            raise ShareNotFound() from error
        raise _failed(error) from error
    except VaultError as error:
        raise _failed(error) from error


def _failed(error: VaultError) -> InternalError:
    return internal_error("a share could not be opened", error, DecryptFailed)

"""Delete a share on request: with its creator's deletion token, or as an operator."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from audit_app.actors import Actor
from audit_app.guessing import refuse_wrong_token
from audit_app.models import AuditEvent
from fugata_core import tokens
from fugata_core.errors import RowLocked
from fugata_core.metrics import count_outcomes
from secrets_app import ids
from secrets_app.actions.find import find_share
from secrets_app.errors import ShareNotFound
from secrets_app.metrics import SHARES
from secrets_app.models import Share
from secrets_app.persistence import share_table
from vault_app.values import Deletions, delete_quietly, noted_in_doubt

#: How many locked shares a revocation waits for, each for seconds, before it leaves the rest.
MAX_LOCKED = 3


@count_outcomes(SHARES, "deleted")
def delete_share(share_id: str, token: str, actor: Actor) -> None:
    """Delete a live share.

    Raises ShareNotFound, Unauthorized, RowLocked, or RateLimited for guessing.
    """
    share = find_share(share_id)
    if not hmac.compare_digest(bytes(share.deletion_digest), tokens.digest(token)):
        raise refuse_wrong_token(actor, well_formed=ids.is_deletion_token(token))
    with noted_in_doubt(share.values_of, share.value_name):
        removed = share_table().remove(bytes(share.digest), AuditEvent.Kind.DELETED, actor)
    if not removed:
        raise ShareNotFound()
    delete_quietly(share.values_of, share.value_name)


@dataclass(frozen=True, slots=True)
class Revocation:
    """How many shares were deleted, and how many were left because of locked rows.

    `values_left`: how many of the deleted ones' values reconciliation will delete, as the store did
    not answer, or not quickly enough.
    """

    revoked: int
    locked: int
    values_left: int


def revoke_shares(primary_keys: Iterable[int], actor: Actor) -> Revocation:
    """Delete the live shares with those primary keys, and then their values.

    After MAX_LOCKED rows that another session has locked, the rest is left. For operators: needs no
    deletion token; each deletion is an audit event in the operator's name.
    """
    shares = Share.objects.live().filter(pk__in=list(primary_keys))
    rows = list(shares.values_list("digest", "value_name"))
    gone = locked = 0
    with Deletions(Share.values_of) as values:
        for digest, value_name in rows:
            if locked == MAX_LOCKED:
                break
            try:
                gone += not values.take(partial(_remove, bytes(digest), value_name, actor))
            except RowLocked:
                locked += 1
    return Revocation(len(values), len(rows) - len(values) - gone, values.left)


def _remove(digest: bytes, value_name: str, actor: Actor) -> str | None:
    """Delete a live share's row, and return the name of its value; None if it was gone."""
    removed = share_table().remove(digest, AuditEvent.Kind.DELETED, actor)
    return value_name if removed else None

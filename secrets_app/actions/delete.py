"""Delete a share on request: with its creator's deletion token, or as an operator."""

import hmac
from collections.abc import Iterable

from audit_app.actors import Actor
from audit_app.guessing import refuse_wrong_token
from audit_app.models import AuditEvent
from fugata_core import tokens
from fugata_core.metrics import count_outcomes
from secrets_app import ids
from secrets_app.actions.find import find_share
from secrets_app.errors import ShareNotFound
from secrets_app.metrics import SHARES
from secrets_app.models import Share
from secrets_app.persistence import share_table
from vault_app.values import delete_quietly


@count_outcomes(SHARES, "deleted")
def delete_share(share_id: str, token: str, actor: Actor) -> None:
    """Delete a live share. Raises ShareNotFound, Unauthorized, or RateLimited for guessing."""
    share = find_share(share_id)
    if not hmac.compare_digest(bytes(share.deletion_digest), tokens.digest(token)):
        raise refuse_wrong_token(actor, well_formed=ids.is_deletion_token(token))
    if not share_table().remove(bytes(share.digest), AuditEvent.Kind.DELETED, actor):
        raise ShareNotFound()
    delete_quietly(share.values_of, share.value_name)


def revoke_shares(primary_keys: Iterable[int], actor: Actor) -> int:
    """Delete the live shares with those primary keys and return how many this call deleted.

    For operators: needs no deletion token; each deletion is an audit event in the operator's name.
    """
    shares = Share.objects.live().filter(pk__in=list(primary_keys))
    revoked = 0
    for digest, value_name in list(shares.values_list("digest", "value_name")):
        if share_table().remove(bytes(digest), AuditEvent.Kind.DELETED, actor):
            delete_quietly(Share.values_of, value_name)
            revoked += 1
    return revoked

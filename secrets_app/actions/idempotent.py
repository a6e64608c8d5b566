"""Create and open under an idempotency key: one effect, the same answer on every retry.

The same two steps as without a key; the second also writes one more row in its transaction.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core import tokens
from fugata_core.metrics import count_outcomes
from secrets_app import ids
from secrets_app.actions.create import CreatedShare, Draft, registration, seal_share
from secrets_app.actions.reveal import (
    OpenedShare,
    claim_or_record_opening,
    discard_value,
    read_share,
)
from secrets_app.errors import LostClaim, ShareNotFound
from secrets_app.idempotency import (
    IdempotentRequest,
    delete_answer,
    for_creation,
    for_opening,
    store_answer,
    stored_answer,
)
from secrets_app.metrics import SHARES
from secrets_app.models import Share
from secrets_app.persistence import share_table
from vault_app.values import noted_in_doubt


def create_idempotently(draft: Draft, actor: Actor, key: str, body: bytes) -> CreatedShare:
    """Create a share, or return the one that the same request created shortly before.

    Raises KeyReused, DecryptFailed, and what `create_share` raises.
    """
    idempotent = for_creation(key, body)
    earlier = _find_created(idempotent, actor)
    if earlier:
        return earlier
    try:
        return _create(idempotent, draft, actor)
    except IntegrityError:  # the same request is being handled concurrently
        earlier = _find_created(idempotent, actor)
        if earlier is None:
            raise
        return earlier


@count_outcomes(SHARES, "created")
def _create(idempotent: IdempotentRequest, draft: Draft, actor: Actor) -> CreatedShare:
    share = seal_share(draft, actor)
    with registration(share), transaction.atomic():
        store_answer(idempotent, _serialize(share.created), share.created.expires_at)
        share_table().insert(share.row, share.value, actor)
    return share.created


def _find_created(idempotent: IdempotentRequest, actor: Actor) -> CreatedShare | None:
    answer = stored_answer(idempotent)
    if answer is None:
        return None
    created = CreatedShare(**_deserialize(answer))
    _record_repetition(created.share_id, actor)
    return created


def reveal_idempotently(share_id: str, actor: Actor, key: str) -> OpenedShare:
    """Open a share, or return what the same reader was given shortly before.

    Raises what `reveal_share` raises.
    """
    if not ids.is_share_id(share_id):
        raise ShareNotFound()
    idempotent = for_opening(key, share_id)
    earlier = _find_opened(idempotent, share_id, actor)
    if earlier:
        return earlier
    try:
        return _open(idempotent, share_id, actor)
    except (ShareNotFound, IntegrityError):  # maybe by the same request, just now
        earlier = _find_opened(idempotent, share_id, actor)
        if earlier is None:
            raise
        return earlier


@count_outcomes(SHARES, "opened")
def _open(idempotent: IdempotentRequest, share_id: str, actor: Actor) -> OpenedShare:
    share, content = read_share(share_id, actor)
    opened = OpenedShare.of(share, content)
    with noted_in_doubt(share.values_of, share.value_name):
        claimed = _claim(idempotent, share, opened, actor)
    if not claimed:
        raise LostClaim()
    discard_value(share)
    return opened


def _claim(idempotent: IdempotentRequest, share: Share, opened: OpenedShare, actor: Actor) -> bool:
    if not share.one_time:  # it can be opened again: no answer to store for a retry
        return claim_or_record_opening(share, actor)
    with transaction.atomic():
        claimed = claim_or_record_opening(share, actor)
        if claimed:
            store_answer(idempotent, _serialize(opened), opened.expires_at, share)
    return claimed


def _find_opened(idempotent: IdempotentRequest, share_id: str, actor: Actor) -> OpenedShare | None:
    answer = stored_answer(idempotent)
    if answer is None:
        return None
    fields = _deserialize(answer)
    _record_repetition(share_id, actor)
    return OpenedShare(**fields | {"content": fields["content"].encode()})


def acknowledge(share_id: str, actor: Actor, key: str) -> bool:
    """Destroy the answer kept for a reader who now has it; return whether there was one."""
    if not ids.is_share_id(share_id):
        return False
    with transaction.atomic():
        forgotten = delete_answer(for_opening(key, share_id))
        if forgotten:
            record(AuditEvent.Kind.ACKNOWLEDGED, actor, share_digest=tokens.digest(share_id))
    return forgotten


def _record_repetition(share_id: str, actor: Actor) -> None:
    record(AuditEvent.Kind.REPEATED, actor, share_digest=tokens.digest(share_id))


def _serialize(answer: CreatedShare | OpenedShare) -> bytes:
    fields: dict[str, Any] = asdict(answer)
    fields["expires_at"] = fields["expires_at"].timestamp()
    if isinstance(answer, OpenedShare):
        fields["content"] = answer.content.decode()
    return json.dumps(fields, ensure_ascii=False).encode()


def _deserialize(answer: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(answer)
    return fields | {"expires_at": datetime.fromtimestamp(fields["expires_at"], UTC)}

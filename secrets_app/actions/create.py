"""Create a share: check the input, seal, keep the value, then write the row."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from audit_app.actors import Actor
from fugata_core import tokens
from fugata_core.clock import expiry
from fugata_core.content import checked_content
from fugata_core.errors import BadRequest
from fugata_core.metrics import counted
from secrets_app import ids
from secrets_app.errors import EncryptFailed
from secrets_app.metrics import SHARES
from secrets_app.persistence import NewShare, registry
from secrets_app.quotas import check_quotas, counted_client
from secrets_app.sealing import share_associated_data
from vault_app.errors import VaultError
from vault_app.values import keep_value

MAX_LABEL = 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody asks to share; `duration` as TTL_PRESETS writes it, `label` the metadata;
    `one_time` None: as the installation has it.
    """

    content: str
    duration: str
    one_time: bool | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Created:
    """The only time that id and deletion token are known to the service."""

    share_id: str
    deletion_token: str
    expires_at: datetime


@counted(SHARES, "created")
def create_share(
    draft: Draft, actor: Actor, remember: Callable[[Created], None] | None = None
) -> Created:
    """Keep a secret and return what opens and deletes it.

    `remember` runs in the transaction that writes the row. Raises BadRequest, SecretTooLarge,
    EncryptFailed, ClientQuotaReached, InstallationFull.
    """
    lifetime, content = _lifetime(draft.duration), checked_content(draft.content, "content")
    _check_label(draft.label)
    one_time = _one_time(draft.one_time)
    check_quotas(actor, len(content))
    created = Created(ids.new_share_id(), ids.new_deletion_token(), expiry(lifetime))
    digest = tokens.digest(created.share_id)
    associated_data = share_associated_data(digest, created.expires_at, one_time)
    try:
        value = keep_value(
            "shares", content, lambda _: associated_data, ids.link_secret(created.share_id)
        )
    except VaultError as error:
        logger.error("a share could not be sealed or kept: %s", error)
        raise EncryptFailed() from error
    share = NewShare(
        digest=digest,
        deletion_digest=tokens.digest(created.deletion_token),
        wrapped_key=value.wrapped_key,
        key_id=value.key_id,
        value_name=value.name,
        size=value.size,
        label=draft.label,
        one_time=one_time,
        expires_at=created.expires_at,
        client=counted_client(actor),
    )
    if remember is None:  # one statement is its own transaction
        registry().insert(share, value.sealed, actor)
        return created
    with transaction.atomic():
        remember(created)
        registry().insert(share, value.sealed, actor)
    return created


def _lifetime(duration: str) -> timedelta:
    presets: dict[str, timedelta] = settings.TTL_PRESETS
    lifetime = presets.get(duration)
    if lifetime is None:
        raise BadRequest(f"Invalid duration: must be one of {', '.join(settings.TTL_PRESETS)}")
    return lifetime


def _one_time(asked: bool | None) -> bool:
    if settings.FORCE_ONE_TIME and asked is False:
        raise BadRequest("Invalid one_time: here each secret can be opened once, so send true")
    return settings.FORCE_ONE_TIME if asked is None else asked


def _check_label(label: str | None) -> None:
    if label is not None and (len(label) > MAX_LABEL or "\0" in label):
        raise BadRequest(
            f"Invalid metadata: must be a string of at most {MAX_LABEL} characters without NUL"
        )

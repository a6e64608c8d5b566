"""Create a share: validate the input, seal it, store the value, then write the row."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from audit_app.actors import Actor
from fugata_core import tokens
from fugata_core.clock import expiry
from fugata_core.content import validate_content
from fugata_core.errors import BadRequest, internal_error
from fugata_core.metrics import count_outcomes
from fugata_core.row_locks import row_place
from secrets_app import ids
from secrets_app.errors import EncryptFailed
from secrets_app.labels import validate_label
from secrets_app.metrics import SHARES
from secrets_app.models import Share
from secrets_app.persistence import share_table
from secrets_app.quotas import counted_client, reserve_quota
from secrets_app.sealing import share_associated_data
from vault_app.errors import VaultError
from vault_app.key_rows import KEY_ROWS
from vault_app.values import SealedValue, seal_and_store, unless_written


@dataclass(frozen=True, slots=True)
class Draft:
    """A request to share a secret: `duration` is a key of TTL_PRESETS, `label` the API's metadata;
    `one_time` None means the installation's default.
    """

    content: str
    duration: str
    one_time: bool | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedShare:
    """The new share's id and deletion token; the service never knows them again."""

    share_id: str
    deletion_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SealedShare:
    """A sealed share without a row yet; a value kept outside the database is already stored.

    `value`: the sealed value to write with the row; None if it is stored elsewhere.
    """

    row: Share
    value: bytes | None
    created: CreatedShare


@count_outcomes(SHARES, "created")
def create_share(draft: Draft, actor: Actor) -> CreatedShare:
    """Store a secret and return its id and deletion token.

    Raises BadRequest, SecretTooLarge, EncryptFailed, ClientQuotaReached, InstallationFull,
    RowLocked, Overloaded.
    """
    share = seal_share(draft, actor)
    with registration(share):
        share_table().insert(share.row, share.value, actor)
    return share.created


def seal_share(draft: Draft, actor: Actor) -> SealedShare:
    """Validate the draft, seal it, and store the value unless that belongs in the database.

    Raises what `create_share` raises.
    """
    lifetime, content = _lifetime(draft.duration), validate_content(draft.content, "content")
    validate_label(draft.label)
    one_time = _one_time(draft.one_time)
    reserve_quota(actor, len(content))
    created = CreatedShare(ids.new_share_id(), ids.new_deletion_token(), expiry(lifetime))
    digest = tokens.digest(created.share_id)
    value = _sealed(content, digest, created, one_time)
    row = Share(
        digest=digest,
        deletion_digest=tokens.digest(created.deletion_token),
        label=draft.label,
        one_time=one_time,
        expires_at=created.expires_at,
        client=counted_client(actor),
        **value.columns(),
    )
    return SealedShare(row, value.sealed, created)


@contextmanager
def registration(share: SealedShare) -> Iterator[None]:
    """Have the block write the row of a sealed share, and commit.

    Raises RowLocked if another session has locked the row of its key, or another that is needed.
    If no row was written, the stored value is deleted.
    """
    row = share.row
    with unless_written(row.values_of, row.value_name), row_place(KEY_ROWS, row.key_id):
        yield


def _sealed(content: bytes, digest: bytes, created: CreatedShare, one_time: bool) -> SealedValue:
    bound_to = share_associated_data(digest, created.expires_at, one_time)
    link_secret = ids.link_secret(created.share_id)
    try:
        return seal_and_store(Share.values_of, content, lambda _: bound_to, link_secret)
    except VaultError as error:
        raise internal_error("a share could not be sealed or kept", error, EncryptFailed) from error


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

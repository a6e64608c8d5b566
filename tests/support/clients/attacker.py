"""Who holds the database, the values and the keys, but no link: tries to open every share.

Runs inside the installation (`manage.py shell`), with the product's own functions.
"""

import base64
import contextlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db.models import Model

from audit_app.models import AuditEvent
from secrets_app.models import IdempotentResponse, Share
from vault_app.associated_data import AssociatedData
from vault_app.backends import key_provider
from vault_app.envelope import unseal
from vault_app.errors import VaultError
from vault_app.models import KeyEncryptionKey, StoredValue

_LINK = 22  # characters of a link's random part


def attack(*known: str) -> None:
    """Print how many ways were tried on how many shares, and how many shares were opened.

    `known`: what the attacker has besides, for instance a link's random part.
    """
    at_hand = {*_candidates(), *(text.encode() for text in known)}
    shares = list(Share.objects.all())
    opened = sum(_opens(share, at_hand) for share in shares)
    print(f"{len(at_hand)} ways, {len(shares)} shares, {opened} opened")


def _candidates() -> Iterator[bytes]:
    """Yield everything at hand, whole, encoded, and every piece of the size of a link's secret."""
    for piece in _pieces():
        for form in (piece, piece.hex().encode(), base64.b64encode(piece)):
            yield form
            for start in range(len(form) - _LINK + 1):
                yield form[start : start + _LINK]


def _pieces() -> Iterator[bytes]:
    yield b""
    yield settings.SECRET_KEY.encode()
    yield settings.KEYRING_FILE.read_bytes()
    for model in (Share, StoredValue, KeyEncryptionKey, AuditEvent, IdempotentResponse):
        for row in model._default_manager.all():
            yield from (_bytes(getattr(row, name)) for name in _columns(row))
    for share in Share.objects.all():
        yield _data_key(share)


def _columns(row: Model) -> list[str]:
    return [field.attname for field in row._meta.concrete_fields]


def _bytes(field: object) -> bytes:
    return bytes(field) if isinstance(field, bytes | memoryview) else str(field).encode()


def _terms(share: Share) -> AssociatedData:
    details = int(share.expires_at.timestamp()).to_bytes(8) + bytes([share.one_time])
    return AssociatedData(b"fugata/share", bytes(share.digest), details)


def _data_key(share: Share) -> bytes:
    terms = _terms(share)
    return key_provider().unwrap(bytes(share.wrapped_key), terms.purpose + terms.subject)


def _opens(share: Share, at_hand: set[bytes]) -> bool:
    sealed = bytes(StoredValue.objects.get(name=share.value_name).sealed)
    return any(_as_link(share, sealed, one) or _as_key(share, sealed, one) for one in at_hand)


def _as_link(share: Share, sealed: bytes, candidate: bytes) -> bool:
    with contextlib.suppress(VaultError):
        unseal(sealed, bytes(share.wrapped_key), _terms(share), candidate)
        return True
    return False


def _as_key(share: Share, sealed: bytes, candidate: bytes) -> bool:
    with contextlib.suppress(InvalidTag, ValueError):
        AESGCM(candidate).decrypt(sealed[1:13], sealed[13:], _terms(share).as_bytes())
        return True
    return False

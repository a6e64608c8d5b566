"""Envelope encryption: a value encrypted under its own data key, which a provider's key wraps.

Sealed form: 1 byte format version | 12 bytes nonce | AES-256-GCM ciphertext and 16 bytes tag.
The content key is HKDF-SHA-256 (RFC 5869) over data key | link secret, with the purpose as info:
for a share, the link secret is not stored.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault_app.associated_data import SEALED_FORMAT, AssociatedData
from vault_app.backends import key_provider
from vault_app.errors import DecryptionFailed
from vault_app.key_places import key_place

_NONCE_SIZE = 12
_KEY_SIZE = 32
#: Bytes by which a sealed value is longer than its content.
OVERHEAD = 1 + _NONCE_SIZE + 16


def seal(content: bytes, bound_to: AssociatedData, link_secret: bytes = b"") -> tuple[bytes, bytes]:
    """Return (sealed value, wrapped data key). Raises KeyUnavailable, Overloaded."""
    data_key, provider = os.urandom(_KEY_SIZE), key_provider()
    with key_place(provider):
        wrapped = provider.wrap(data_key, bound_to.wrap_context())
    nonce = os.urandom(_NONCE_SIZE)
    cipher = AESGCM(_content_key(data_key, link_secret, bound_to.purpose))
    ciphertext = cipher.encrypt(nonce, content, bound_to.as_bytes())
    return bytes([SEALED_FORMAT]) + nonce + ciphertext, wrapped


def unseal(
    sealed: bytes, wrapped: bytes, bound_to: AssociatedData, link_secret: bytes = b""
) -> bytes:
    """Return the content. Raises KeyUnavailable, DecryptionFailed, Overloaded."""
    _require_format(sealed)
    keys = key_provider()
    with key_place(keys.provider_that_wrapped(wrapped)):
        data_key = keys.unwrap(wrapped, bound_to.wrap_context())
    return unseal_with(data_key, sealed, bound_to, link_secret)


def unseal_with(
    data_key: bytes, sealed: bytes, bound_to: AssociatedData, link_secret: bytes = b""
) -> bytes:
    """Return the content of what was sealed under a data key. Raises DecryptionFailed."""
    _require_format(sealed)
    cipher = AESGCM(_content_key(data_key, link_secret, bound_to.purpose))
    view = memoryview(sealed)
    try:
        return cipher.decrypt(
            view[1 : 1 + _NONCE_SIZE], view[1 + _NONCE_SIZE :], bound_to.as_bytes()
        )
    except InvalidTag:
        raise DecryptionFailed("the sealed value does not open under its associated data") from None


def _require_format(sealed: bytes) -> None:
    if len(sealed) < 1 + _NONCE_SIZE or sealed[0] != SEALED_FORMAT:
        raise DecryptionFailed("the sealed value has an unknown format")


def _content_key(data_key: bytes, link_secret: bytes, purpose: bytes) -> bytes:
    hkdf = HKDF(algorithm=SHA256(), length=_KEY_SIZE, salt=None, info=purpose)
    return hkdf.derive(data_key + link_secret)

"""The local keyring: key-encryption keys from FUGATA_KEYS or from a file under FUGATA_HOME.

A keyring is `id:base64,id:base64,…`; the first key wraps, all of them unwrap.
Wrapped form: 1 byte format version | 1 byte length of the key id | key id | 12 bytes nonce |
AES-256-GCM of the data key, bound to all before the nonce and to the context.
"""

import base64
import binascii
import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from secrets_app.vault.errors import KeyUnavailable, Unopenable
from secrets_app.vault.keys.base import KeyProvider

FORMAT = 1
_NONCE = 12
_KEY = 32
_KEY_ID = re.compile(r"[-._0-9A-Za-z]{1,64}", re.ASCII)
_SHAPE = "FUGATA_KEYS: must be id:base64,id:base64,… with keys of 32 bytes in standard base64."


class LocalKeyring(KeyProvider):
    """Keys in this process's memory; nothing is remote."""

    def __init__(self) -> None:
        text = settings.FUGATA_KEYS or _contents(Path(settings.KEYRING_FILE))
        self._ciphers = {name: AESGCM(key) for name, key in parse(text).items()}

    @property
    def primary(self) -> str:
        """The id of the first key of the ring."""
        if not self._ciphers:
            raise KeyUnavailable("the keyring is empty")
        return next(iter(self._ciphers))

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key under the first key of the ring."""
        header = _header(self.primary)
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self.primary]
        return header + nonce + cipher.encrypt(nonce, data_key, header + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, by the key that the wrapped form names."""
        header = _header_of(wrapped)
        nonce, ciphertext = _split(wrapped[len(header) :], _NONCE)
        try:
            return self._cipher(_key_id(header)).decrypt(nonce, ciphertext, header + context)
        except (InvalidTag, ValueError):
            raise Unopenable("the wrapped data key does not open") from None

    def key_of(self, wrapped: bytes) -> str:
        """Return the id of the key that wrapped it."""
        return _key_id(_header_of(wrapped))

    def _cipher(self, key_id: str) -> AESGCM:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyUnavailable("the keyring lacks the key that wrapped this data key")
        return cipher

    def check(self) -> None:
        """Raise KeyUnavailable where the ring is empty."""
        self.unwrap(self.wrap(bytes(_KEY), b"check"), b"check")


def _header(key_id: str) -> bytes:
    return bytes([FORMAT, len(key_id)]) + key_id.encode("ascii")


def _header_of(wrapped: bytes) -> bytes:
    if len(wrapped) < 2 or wrapped[0] != FORMAT:
        raise Unopenable("the wrapped data key has an unknown format")
    return bytes(wrapped[: 2 + wrapped[1]])


def _key_id(header: bytes) -> str:
    return header[2:].decode("ascii", "replace")


def _split(data: bytes, at: int) -> tuple[bytes, bytes]:
    return data[:at], data[at:]


def _contents(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def parse(text: str) -> dict[str, bytes]:
    """Return the keys (32 bytes) of a keyring by id, in order.

    Raises ImproperlyConfigured, which never repeats the text.
    """
    keys: dict[str, bytes] = {}
    for entry in filter(None, re.split(r"[,\s]+", text)):
        name, _, encoded = entry.partition(":")
        if not _KEY_ID.fullmatch(name) or name in keys:
            raise ImproperlyConfigured(_SHAPE + " Ids are unique, of [-._a-zA-Z0-9].")
        keys[name] = _decoded(encoded)
    return keys


def _decoded(encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY:
        raise ImproperlyConfigured(_SHAPE)
    return key


def generate() -> str:
    """Return a new keyring of one key, its id the first 8 hex digits of random bytes."""
    return f"k{os.urandom(4).hex()}:{base64.b64encode(os.urandom(_KEY)).decode()}\n"

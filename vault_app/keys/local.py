"""The local keyring: key-encryption keys from FUGATA_KEYS or from a file under FUGATA_HOME.

The provider's part of a wrapped key: 12 bytes nonce | AES-256-GCM of the data key, bound to the
header and to the context.
"""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault_app.errors import DecryptionFailed, KeyUnavailable
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider
from vault_app.keys.keyring import FileState, KeyringFile, WrongKeyring, generate, parse

__all__ = ["LocalKeyring", "generate", "parse", "wrap_under"]

#: Seconds that a process may take to notice that the file names another primary.
RELOAD_INTERVAL = 1.0
#: What no file's state is: the file could not be read, and will be tried again.
_UNREADABLE: FileState = (0, 0, 0)
_NONCE_SIZE = 12

Ciphers = Mapping[str, AESGCM]
logger = logging.getLogger(__name__)


class LocalKeyring(KeyProvider):
    """Keys in this process's memory; nothing is remote.

    `keys`: a keyring's text; without it the ring comes from `file`, and `self.file` is that file.
    """

    name = "local"

    def __init__(self, keys: str = "", file: str | Path = "") -> None:
        self.file = None if keys else KeyringFile(Path(file))
        self._file_state: FileState | None = self.file.state() if self.file else None
        self._reload_at = time.monotonic() + RELOAD_INTERVAL
        self._ring = _build_ring(self.file.keys() if self.file else parse(keys))

    @property
    def primary(self) -> str:
        """The id of the first key of the ring."""
        return _first(self._current_ring())

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key wrapped under the first key of the ring."""
        ring = self._current_ring()
        primary = _first(ring)
        return _wrap(ring[primary], primary, data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, using the key that the wrapped form names."""
        key_id, header, rest = wrapped_key.split(wrapped)
        try:
            return self._cipher(key_id).decrypt(
                rest[:_NONCE_SIZE], rest[_NONCE_SIZE:], header + context
            )
        except (InvalidTag, ValueError):
            raise DecryptionFailed("the wrapped data key does not open") from None

    def has_lost_file(self) -> bool:
        """Return whether the file that the ring came from has no keys any more."""
        return bool(self.file and self._ring and not _keys_of(self.file))

    def _cipher(self, key_id: str) -> AESGCM:
        if key_id not in self._ring:
            self._reload()  # another process may have added it; costs only a stat
        cipher = self._ring.get(key_id)
        if cipher is None:
            raise KeyUnavailable("the keyring lacks the key that wrapped this data key")
        return cipher

    def _current_ring(self) -> Ciphers:
        if time.monotonic() >= self._reload_at:
            self._reload()
        return self._ring

    def _reload(self) -> None:
        """Reload the file if it has changed, or could not be read."""
        self._reload_at = time.monotonic() + RELOAD_INTERVAL
        state = self.file.state() if self.file else None
        if self.file is None or state == self._file_state:
            return
        keys = _keys_of(self.file)
        if keys:
            self._ring = _build_ring(keys)
        elif self._file_state != _UNREADABLE:  # the keys in memory are worth more
            logger.error("the keyring file is missing or damaged; the keys read before stay in use")
        self._file_state = state if keys else _UNREADABLE


def _keys_of(file: KeyringFile) -> dict[str, bytes]:
    """Return the keys of the file; none if it can't be read."""
    try:
        return file.keys()
    except WrongKeyring:
        return {}


def wrap_under(key_id: str, key: bytes, data_key: bytes, context: bytes) -> bytes:
    """Return the data key wrapped under the given key, whatever the ring's primary is."""
    return _wrap(AESGCM(key), key_id, data_key, context)


def _wrap(cipher: AESGCM, key_id: str, data_key: bytes, context: bytes) -> bytes:
    header, nonce = wrapped_key.header(key_id), os.urandom(_NONCE_SIZE)
    return header + nonce + cipher.encrypt(nonce, data_key, header + context)


def _build_ring(keys: Mapping[str, bytes]) -> Ciphers:
    return {name: AESGCM(key) for name, key in keys.items()}


def _first(ring: Ciphers) -> str:
    if not ring:
        raise KeyUnavailable("the keyring is empty")
    return next(iter(ring))

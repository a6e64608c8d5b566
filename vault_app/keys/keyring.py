"""The keyring's text, and the file that holds it.

A keyring is `id:base64,id:base64,…`; the first key wraps, all of them unwrap.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from fugata_core.files import file_lock, replace_file

_KEY_SIZE = 32
#: Seconds that a writer waits for another one.
_PATIENCE = 10.0
_KEY_ID = re.compile(r"[-._0-9A-Za-z]{1,64}", re.ASCII)
_SHAPE = (
    "must be id:base64,id:base64,… with ids of [-._a-zA-Z0-9] and keys of 32 bytes in standard"
    " base64."
)

Keys = Mapping[str, bytes]


class WrongKeyring(ImproperlyConfigured):
    """A keyring can't be used: the message names FUGATA_KEYS or the file, never its content."""


def parse(text: str, file: Path | None = None) -> dict[str, bytes]:
    """Return the keys (32 bytes) of a keyring by id, in order; `file`: where the text is from.

    What is there twice counts once. Raises WrongKeyring.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{file}, line {number}" if file else "FUGATA_KEYS"
        for entry in filter(None, re.split(r"[,\s]+", line)):
            key_id, key = _parse_entry(entry, place)
            if keys.setdefault(key_id, key) != key:
                raise WrongKeyring(f"{place}: an id is there twice, with different keys.")
    return keys


def _parse_entry(entry: str, place: str) -> tuple[str, bytes]:
    key_id, _, encoded = entry.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _KEY_ID.fullmatch(key_id) or len(key) != _KEY_SIZE:
        raise WrongKeyring(f"{place}: {_SHAPE}")
    return key_id, key


def new_key() -> tuple[str, bytes]:
    """Return the id of a new key, `k` and 8 random hex digits, and its bytes."""
    return f"k{os.urandom(4).hex()}", os.urandom(_KEY_SIZE)


def as_text(keys: Keys) -> str:
    """Return a keyring as text for `parse`, one key per line."""
    lines = (f"{key_id}:{base64.b64encode(key).decode()}\n" for key_id, key in keys.items())
    return "".join(lines)


def generate() -> str:
    """Return a new keyring of one key."""
    return as_text(dict([new_key()]))


#: Identifies a state of a file: time of its last change, inode, size.
FileState = tuple[int, int, int]


class KeyringFile:
    """A keyring in a file that one machine's processes share.

    It is replaced atomically, so a reader sees the old keys or the new ones. Writers lock a
    file beside it, because each write makes a new one.

    `retired`: the file beside it for keys that were taken out, as text of the same form. It is for
    people alone: no key is ever read from it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.retired = self.path.with_name(f"{self.path.name}.retired")

    def state(self) -> FileState | None:
        """Return what changes when the file does; None if there is no file."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def keys(self) -> dict[str, bytes]:
        """Return the keys, in order; none where there is no file. Raises WrongKeyring."""
        try:
            text = self.path.read_text(errors="replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise WrongKeyring(f"{self.path}: can't be read ({type(error).__name__}).") from None
        return parse(text, self.path)

    def locked(self) -> AbstractContextManager[None]:
        """Lock out other writers, in any process on this machine. Raises OSError."""
        return file_lock(self.path, _PATIENCE)

    def write(self, keys: Keys) -> None:
        """Replace the file, durably, mode 0600, its owner kept. Raises OSError."""
        self._replace(self.path, as_text(keys).encode())

    def has_set_aside(self, key_id: str, key: bytes) -> bool:
        """Return whether `retired` has that key. Raises OSError."""
        return _line(key_id, key) in self._retired_lines()

    def set_aside(self, key_id: str, key: bytes) -> None:
        """Add a key to `retired`, durably, mode 0600, unless it is there. Raises OSError."""
        lines = self._retired_lines()
        if _line(key_id, key) not in lines:
            self._replace(self.retired, b"\n".join([*lines, _line(key_id, key), b""]))

    def _retired_lines(self) -> list[bytes]:
        return self.retired.read_bytes().splitlines() if self.retired.exists() else []

    def _replace(self, path: Path, content: bytes) -> None:
        replace_file(path, content, owner=self.path)


def _line(key_id: str, key: bytes) -> bytes:
    return as_text({key_id: key}).encode().rstrip()

"""Share ids and deletion tokens: made, recognised, and looked up by digest.

Both carry 22 characters from a 62-letter alphabet: 131 random bits.
"""

import hashlib
import re
import secrets
import string

_ALPHABET = string.digits + string.ascii_letters
_RANDOM = 22
# A byte stands for a letter; those from 248 = 4 x 62 on would favour the first ones.
_LETTER_OF = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))
_UNFAIR = bytes(range(256 - 256 % len(_ALPHABET), 256))
SHARE_ID_PATTERN = r"fug_[0-9A-Za-z]{22,64}"
_SHARE_ID = re.compile(SHARE_ID_PATTERN, re.ASCII)
_DELETION_TOKEN = re.compile(r"tok_[0-9A-Za-z]{22,64}", re.ASCII)


def new_share_id() -> str:
    """Return a new share id; it is also half of the key that the share is sealed with."""
    return "fug_" + random_letters(_RANDOM)


def new_deletion_token() -> str:
    """Return a new deletion token."""
    return "tok_" + random_letters(_RANDOM)


def random_letters(count: int) -> str:
    """Return `count` random letters and digits, each as likely as any other."""
    letters = b""
    while len(letters) < count:
        letters += secrets.token_bytes(2 * count).translate(_LETTER_OF, _UNFAIR)
    return letters[:count].decode()


def is_share_id(text: str) -> bool:
    """Return whether `text` could be a share id; what could not is never looked up."""
    return _SHARE_ID.fullmatch(text) is not None


def is_deletion_token(text: str) -> bool:
    """Return whether `text` could be a deletion token."""
    return _DELETION_TOKEN.fullmatch(text) is not None


def link_secret(share_id: str) -> bytes:
    """Return the random part of a share id, which the server does not keep."""
    return share_id.removeprefix("fug_").encode()


def digest(text: str) -> bytes:
    """Return the SHA-256 (32 bytes) that is kept of an id or a token.

    They have at least 128 random bits, so a slow hash would add nothing (design.md).
    """
    return hashlib.sha256(text.encode()).digest()

"""Random characters for ids and tokens, and the digest that is stored of them.

The alphabet has 62 letters and digits: 22 of them are 131 random bits.
"""

import hashlib
import secrets
import string

#: What ids and tokens begin with; logs and request ids show nothing that begins so.
SHARE_ID, DELETION_TOKEN, ACCESS_TOKEN = PREFIXES = ("fug_", "tok_", "fgt_")

_ALPHABET = string.digits + string.ascii_letters
# Each byte maps to a letter; bytes from 248 = 4 x 62 on would favour the first letters.
_LETTER_OF = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))
_UNFAIR = bytes(range(256 - 256 % len(_ALPHABET), 256))


def random_alphanumeric(count: int) -> str:
    """Return `count` random letters and digits, each as likely as any other."""
    letters = b""
    while len(letters) < count:
        letters += secrets.token_bytes(2 * count).translate(_LETTER_OF, _UNFAIR)
    return letters[:count].decode()


def digest(text: str) -> bytes:
    """Return the SHA-256 (32 bytes) that is stored of an id or a token.

    They have at least 128 random bits, so a slow hash would add nothing (docs/design.md).
    """
    return hashlib.sha256(text.encode()).digest()

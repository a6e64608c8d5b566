"""Random characters for ids and tokens, the digest that is stored of them, and cutting them.

The alphabet has 62 letters and digits: 22 of them are 131 random bits.
"""

import hashlib
import re
import secrets
import string

#: What ids and tokens begin with; logs and request ids show nothing that begins so.
SHARE_ID, DELETION_TOKEN, ACCESS_TOKEN = PREFIXES = ("fug_", "tok_", "fgt_")
#: What is said of a name that `has_secret`.
NAME_RULE = "must not have the form of an id or a token of Fugata."
#: Characters of an access token that lists and the trail show, `fgt_` included.
SHOWN_OF_TOKEN = 10

# A part is one too, unless so much is missing that nobody could try what is. A word in
# lower case is a name, such as tok_authentication.
_SECRET = re.compile(
    rf"({'|'.join(PREFIXES)})(?:[0-9A-Za-z]{{22,}}|(?=[a-z]*[0-9A-Z])[0-9A-Za-z]{{12,}})", re.ASCII
)
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


def has_secret(text: str) -> bool:
    """Return whether an id or a token, or most of one, is somewhere in `text`."""
    return _SECRET.search(text) is not None


def asks_for_secret(term: str) -> bool:
    """Return whether a search for `term` could find an id or a token, letter by letter."""
    return any(prefix in term.casefold() for prefix in PREFIXES)


def cut_secrets(text: str) -> str:
    """Return `text` as it may be recorded and shown: of a token, what lists show; of ids nothing.

    What the trail keeps, errors, labels, keys, and the console's messages go through this. Logs go
    through `logs.redact`, which leaves less.
    """
    return _SECRET.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    shown = SHOWN_OF_TOKEN if found[1] == ACCESS_TOKEN else len(found[1])
    return f"{found[0][:shown]}…"


def digest(text: str) -> bytes:
    """Return the SHA-256 (32 bytes) that is stored of an id or a token.

    They have at least 128 random bits, so a slow hash would add nothing (docs/design.md).
    """
    return hashlib.sha256(text.encode()).digest()

"""Share ids and deletion tokens: generate and recognise them; lookup is by digest.

Both carry 22 characters from an alphabet of 62: 131 random bits.
"""

import re

from fugata_core.tokens import DELETION_TOKEN, SHARE_ID, random_alphanumeric

_RANDOM = 22
SHARE_ID_PATTERN = rf"{SHARE_ID}[0-9A-Za-z]{{22,64}}"
_SHARE_ID = re.compile(SHARE_ID_PATTERN, re.ASCII)
_DELETION_TOKEN = re.compile(rf"{DELETION_TOKEN}[0-9A-Za-z]{{22,64}}", re.ASCII)


def new_share_id() -> str:
    """Return a new share id; it is also half of the key that seals the share."""
    return SHARE_ID + random_alphanumeric(_RANDOM)


def new_deletion_token() -> str:
    """Return a new deletion token."""
    return DELETION_TOKEN + random_alphanumeric(_RANDOM)


def is_share_id(text: str) -> bool:
    """Return whether `text` could be a share id; anything else is never looked up."""
    return _SHARE_ID.fullmatch(text) is not None


def is_deletion_token(text: str) -> bool:
    """Return whether `text` could be a deletion token."""
    return _DELETION_TOKEN.fullmatch(text) is not None


def link_secret(share_id: str) -> bytes:
    """Return the random part of a share id, which the server does not keep."""
    return share_id.removeprefix(SHARE_ID).encode()

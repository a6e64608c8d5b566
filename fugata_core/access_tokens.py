"""Access tokens: how they are made and recognised.

`fgt_` and 36 characters from an alphabet of 62. Lists show only the beginning, which leaves
more than 170 random bits to guess.
"""

import re

from fugata_core import tokens

_RANDOM_LENGTH = 36
_TOKEN = re.compile(rf"{tokens.ACCESS_TOKEN}[0-9A-Za-z]{{{_RANDOM_LENGTH}}}", re.ASCII)


def new_access_token() -> str:
    """Return a new access token."""
    return tokens.ACCESS_TOKEN + tokens.random_alphanumeric(_RANDOM_LENGTH)


def is_access_token(text: str) -> bool:
    """Return whether `text` could be an access token; anything else is never looked up."""
    return _TOKEN.fullmatch(text) is not None


def token_prefix(token: str) -> str:
    """Return the beginning of a token, by which people tell it from others."""
    return token[: tokens.SHOWN_OF_TOKEN]

"""The caller that an access token identifies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A live access token and its user; `narrowed`: valid only for the token's own repositories."""

    token_id: int
    user_id: int
    username: str
    prefix: str
    read_only: bool
    narrowed: bool

"""Who asks, once an access token has said so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A live access token and whose it is; `narrowed`: good for its own repositories alone."""

    token_id: int
    user_id: int
    username: str
    prefix: str
    read_only: bool
    narrowed: bool

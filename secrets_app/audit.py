"""Who did it: what an audit event records of a request."""

from dataclasses import dataclass
from typing import Self

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Actor:
    """`address_hash`: keyed hash of the client's address (16 bytes), or none for the service;
    `bucket`: the name under which its wrong guesses are counted; `username`, `token`: who signed
    in, and the beginning of the access token that did.
    """

    address_hash: bytes | None = None
    request_id: str = ""
    bucket: str = ""
    username: str = ""
    token: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Return who sent `request`, as the middleware found out."""
        return cls(request.client_hash, request.request_id, request.client_bucket)  # type: ignore[attr-defined]


#: The service itself: beat's purge, a command at the terminal.
SERVICE = Actor()

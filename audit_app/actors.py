"""Who performed an action, as far as the trail may know."""

from dataclasses import dataclass, replace
from typing import Self, cast

from django.http import HttpRequest

from fugata_core.callers import Caller
from fugata_core.requests import FugataRequest


@dataclass(frozen=True, slots=True)
class Actor:
    """Who performed an action.

    `address_hash`: keyed hash of the client's address (16 bytes), or none for the service;
    `bucket`: the name under which its wrong guesses are counted; `username`, `token`: the
    user, and the beginning of the access token that was used; `network`: keyed hash of the
    network that the client is in.
    """

    address_hash: bytes | None = None
    request_id: str = ""
    bucket: str = ""
    username: str = ""
    token: str = ""
    network: str = ""

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        """Return the sender of `request`, as the middleware and the view's permission know it."""
        known = cast(FugataRequest, request)
        caller: Caller | None = getattr(known, "caller", None)
        return cls(
            known.client_hash,
            known.request_id,
            known.client_bucket,
            caller.username if caller else getattr(known, "creator", ""),
            caller.prefix if caller else "",
            known.client_network,
        )

    @classmethod
    def from_session(cls, request: HttpRequest) -> Self:
        """Return the user who sent `request` from the console."""
        return replace(cls.from_request(request), username=request.user.get_username())


#: The service itself: beat's purge, a command at the terminal.
SERVICE = Actor()
#: The operator at the terminal, who could do anything anyway.
COMMAND_LINE = Actor(username="command line")

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
        """Return the sender of `request`, as the middleware identified it."""
        known = cast(FugataRequest, request)
        bucket, network = known.client_bucket, known.client_network
        return cls(known.client_hash, known.request_id, bucket, network=network)

    @classmethod
    def from_caller(cls, request: HttpRequest, caller: Caller) -> Self:
        """Return the sender of `request`, who used an access token."""
        return replace(cls.from_request(request), username=caller.username, token=caller.prefix)

    @classmethod
    def from_session(cls, request: HttpRequest) -> Self:
        """Return the user who sent `request` from the console."""
        return replace(cls.from_request(request), username=request.user.get_username())


#: The service itself: beat's purge, a command at the terminal.
SERVICE = Actor()
#: The operator at the terminal, who could do anything anyway.
COMMAND_LINE = Actor(username="command line")

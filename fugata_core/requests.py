"""The request, with what the middleware has found out about the client."""

from django.http import HttpRequest

from fugata_core.callers import Caller
from fugata_core.errors import FugataError

#: A well-formed X-Request-ID.
REQUEST_ID_PATTERN = r"[-._0-9A-Za-z]{8,64}"


class FugataRequest(HttpRequest):
    """A request behind the middleware; it holds addresses only as keyed hashes."""

    #: When it came to the middleware, in seconds of the monotonic clock.
    began: float
    #: The client's X-Request-ID if it is well-formed, else a new one.
    request_id: str
    #: Keyed hash of the client's address (16 bytes), and the name of its rate-limit bucket.
    client_hash: bytes
    client_bucket: str
    #: Keyed hash of the network that the address is from.
    client_network: str
    #: Whether CREATE_ALLOWED_FROM lets the address create shares.
    is_network_allowed: bool
    #: The caller, where an access token is accepted; None without a live one.
    caller: Caller | None = None
    #: The name of the user who is signed in, where creating a share requires that.
    creator: str = ""
    #: Whether the permission that the view requires was checked, and given.
    permitted: bool = False
    #: Why the caller could not be looked up; it is the response once the request was counted.
    refusal: FugataError | None = None

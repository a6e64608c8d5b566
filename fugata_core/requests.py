"""The request, with what the middleware has found out about its sender."""

from django.http import HttpRequest

from fugata_core.callers import Caller
from fugata_core.errors import FugataError


class FugataRequest(HttpRequest):
    """Every request behind the middleware; addresses are in it as keyed hashes alone."""

    #: The client's X-Request-ID if it is well-formed, else a new one.
    request_id: str
    #: What stands for the client's address (16 bytes), and what is counted together with it.
    client_hash: bytes
    client_bucket: str
    #: Whether CREATE_ALLOWED_FROM lets the address create shares.
    may_create: bool
    #: Whose access token came along, where one may; None without a live one.
    caller: Caller | None
    #: What kept us from finding out; it is the answer once the request was counted.
    refusal: FugataError | None

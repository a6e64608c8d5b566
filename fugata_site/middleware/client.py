"""The client's address (docs/design.md: "Who asks").

Everything behind this sees only keyed hashes: `request.client_hash` (the address, for the audit
trail), `request.client_bucket` (what is counted together: an IPv6 /64, an IPv4 address) and
`request.client_network` (an IPv6 /64, an IPv4 /24); and `request.is_network_allowed` (whether
CREATE_ALLOWED_FROM lets the address create shares).
"""

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_core.addresses import Client, client_of, counted_as, is_trusted, network_of, parse
from fugata_core.requests import FugataRequest

_HASH_KEY = hashlib.sha256(b"fugata client address\0" + settings.SECRET_KEY.encode()).digest()


class ClientMiddleware:
    """Identifies the client, and drops forwarded headers that no trusted proxy vouches for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        identify(request)
        return self.get_response(request)


def identify(request: FugataRequest) -> None:
    """Set what is known of the client, and drop the forwarded scheme of an unknown proxy."""
    peer = request.META.get("REMOTE_ADDR", "")
    if not is_trusted(peer):
        request.META.pop("HTTP_X_FORWARDED_PROTO", None)
    client = client_of(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))
    keys = client_keys(client.address)
    request.client_hash, request.client_bucket, request.client_network = keys
    request.is_network_allowed = is_network_allowed(client)


@lru_cache(maxsize=4096)
def is_network_allowed(client: Client) -> bool:
    """Return whether a client is known to be in CREATE_ALLOWED_FROM; if that is empty, all are."""
    if not settings.CREATE_ALLOWED_FROM:
        return True
    parsed = parse(client.address) if client.is_known else None
    return parsed is not None and any(parsed in each for each in settings.CREATE_ALLOWED_FROM)


@lru_cache(maxsize=4096)
def client_keys(address: str) -> tuple[bytes, str, str]:
    """Return keyed hashes: of the address (16 bytes), of what is counted, of its network."""
    counted, network = (
        _keyed_hash(each).hex() for each in (counted_as(address), network_of(address))
    )
    return _keyed_hash(str(parse(address))), counted, network


def _keyed_hash(text: str) -> bytes:
    return hmac.digest(_HASH_KEY, text.encode(), "sha256")[:16]

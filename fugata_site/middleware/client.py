"""The client's address (docs/design.md: "Who asks"), which only this module knows.

Everything behind this sees only keyed hashes: `request.client_hash` (the address, for the audit
trail) and `request.client_bucket` (what is counted together: an IPv6 /64, an IPv4 address), and
`request.is_network_allowed` (whether CREATE_ALLOWED_FROM lets the address create shares).
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from fugata_core.requests import FugataRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_ENTRY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")
_HASH_KEY = hashlib.sha256(b"fugata client address\0" + settings.SECRET_KEY.encode()).digest()


class ClientMiddleware:
    """Identifies the client, and drops forwarded headers that no trusted proxy vouches for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: FugataRequest) -> HttpResponse:
        peer = request.META.get("REMOTE_ADDR", "")
        if not is_trusted(peer):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
            client = peer
        else:
            client = forwarded_client(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))
        request.client_hash, request.client_bucket = client_keys(client)
        request.is_network_allowed = is_network_allowed(client)
        return self.get_response(request)


def forwarded_client(peer: str, forwarded: str) -> str:
    """Return the right-most entry of X-Forwarded-For that is not a trusted proxy.

    If all are trusted, or a malformed one comes first, return the peer.
    """
    for entry in reversed(forwarded.split(",")):
        candidate = _without_port(entry.strip())
        if _parse(candidate) is None:
            return peer
        if not is_trusted(candidate):
            return candidate
    return peer


def _without_port(entry: str) -> str:
    """Return the address of `192.0.2.1:80`, `[2001:db8::7]:80`, `2001:db8::7`, else nothing."""
    match = _ENTRY.fullmatch(entry)
    return next(filter(None, match.groups()), "") if match else ""


@lru_cache(maxsize=4096)
def is_trusted(address: str) -> bool:
    """Return whether `address` is one of TRUSTED_PROXIES."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=4096)
def is_network_allowed(address: str) -> bool:
    """Return whether `address` is in CREATE_ALLOWED_FROM; where that is empty, all are."""
    if not settings.CREATE_ALLOWED_FROM:
        return True
    parsed = _parse(address)
    return parsed is not None and any(parsed in each for each in settings.CREATE_ALLOWED_FROM)


@lru_cache(maxsize=4096)
def client_keys(address: str) -> tuple[bytes, str]:
    """Return the address's keyed hash (16 bytes) and the name of its rate-limit bucket."""
    parsed = _parse(address)
    counted: object = parsed
    if isinstance(parsed, ipaddress.IPv6Address):
        counted = ipaddress.ip_network((parsed, 64), strict=False)
    return _keyed_hash(str(parsed)), _keyed_hash(str(counted)).hex()


def _keyed_hash(text: str) -> bytes:
    return hmac.digest(_HASH_KEY, text.encode(), "sha256")[:16]


def _parse(text: str) -> Address | None:
    """Return the address, an IPv4-mapped IPv6 one as IPv4, or None for anything else."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

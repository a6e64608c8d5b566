"""Addresses: how they are written, and whose a request is (docs/design.md: "Who asks")."""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_ENTRY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)")


def authority(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Client:
    """Whose a request is; not known if a proxy sent it and does not say for whom."""

    address: str
    is_known: bool


def client_of(peer: str, forwarded: str) -> Client:
    """Return the peer, or the client that a trusted proxy names in X-Forwarded-For.

    That is the right-most entry that is not a trusted proxy itself. If there is none, or a
    malformed one comes first, return the peer as a client that is not known.
    """
    if not is_trusted(peer):
        return Client(peer, is_known=True)
    for entry in reversed(forwarded.split(",")):
        candidate = _without_port(entry.strip())
        if parse(candidate) is None:
            break
        if not is_trusted(candidate):
            return Client(candidate, is_known=True)
    return Client(peer, is_known=False)


def _without_port(entry: str) -> str:
    """Return the address of `192.0.2.1:80`, `[2001:db8::7]:80`, `2001:db8::7`, else nothing."""
    match = _ENTRY.fullmatch(entry)
    return next(filter(None, match.groups()), "") if match else ""


@lru_cache(maxsize=4096)
def is_trusted(address: str) -> bool:
    """Return whether `address` is one of TRUSTED_PROXIES."""
    parsed = parse(address)
    return parsed is not None and any(parsed in network for network in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=4096)
def counted_as(address: str) -> str:
    """Return what is counted together: an IPv6 /64, an IPv4 address, all that is no address."""
    parsed = parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that one person may have for themselves: an IPv6 /64, an IPv4 /24."""
    parsed = parse(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(ipaddress.ip_network((parsed, 24), strict=False))
    return counted_as(address)


def parse(text: str) -> Address | None:
    """Return the address, an IPv4-mapped IPv6 one as IPv4, or None for anything else."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

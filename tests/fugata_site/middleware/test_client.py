"""The client of a request: the peer, or the address that a trusted proxy names."""

import ipaddress
from typing import cast

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from fugata_core import addresses
from fugata_core.requests import FugataRequest
from fugata_site.middleware.client import ClientMiddleware, client_keys

PROXY, INNER, SIX = "10.0.0.1", "10.255.0.9", "2001:db8:ffff::1"


@pytest.fixture(autouse=True)
def proxies(settings: Settings) -> None:
    """Trust 10.0.0.0/8, one IPv4 and one IPv6 address."""
    entries = ("10.0.0.0/8", "203.0.113.9", SIX)
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(entry) for entry in entries]


def passed(peer: str, **headers: str) -> FugataRequest:
    """Return the request as what comes behind the middleware sees it."""
    request = cast(FugataRequest, RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer))
    ClientMiddleware(lambda _: HttpResponse())(request)
    return request


def client_of(peer: str, forwarded: str | None = None) -> tuple[bytes, str, str]:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    request = passed(peer, **headers)
    return request.client_hash, request.client_bucket, request.client_network


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # nobody that is trusted: the peer, whatever it claims
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "192.0.2.1", "198.51.100.7"),
        ("198.51.100.7", "10.0.0.1", "198.51.100.7"),
        ("203.0.113.8", "192.0.2.1", "203.0.113.8"),
        ("2001:db8:ffff::2", "192.0.2.1", "2001:db8:ffff::2"),
        # one trusted proxy
        (PROXY, None, PROXY),
        (PROXY, "", PROXY),
        (PROXY, "192.0.2.1", "192.0.2.1"),
        ("203.0.113.9", "192.0.2.1", "192.0.2.1"),
        (SIX, "192.0.2.1", "192.0.2.1"),
        (PROXY, "2001:db8::7", "2001:db8::7"),
        # a chain: the right-most that is not trusted; what is left of it is a claim
        (PROXY, "192.0.2.1, 198.51.100.2", "198.51.100.2"),
        (PROXY, f"192.0.2.1,198.51.100.2,{INNER}", "198.51.100.2"),
        (PROXY, f"unknown, 198.51.100.2, {INNER}, {SIX}", "198.51.100.2"),
        (PROXY, f"{INNER}, {PROXY}", PROXY),
        # ports and brackets
        (PROXY, "192.0.2.1:4711", "192.0.2.1"),
        (PROXY, "[2001:db8::7]", "2001:db8::7"),
        (PROXY, "[2001:db8::7]:4711", "2001:db8::7"),
        (PROXY, f"192.0.2.1:1, {INNER}:2, [{SIX}]:3", "192.0.2.1"),
        # IPv4-mapped
        ("::ffff:10.0.0.1", "192.0.2.1", "192.0.2.1"),
        (PROXY, "::ffff:192.0.2.1", "192.0.2.1"),
        (PROXY, "[::ffff:192.0.2.1]:80", "192.0.2.1"),
        (PROXY, f"192.0.2.1, ::ffff:{INNER}", "192.0.2.1"),
        ("::ffff:198.51.100.7", "192.0.2.1", "198.51.100.7"),
        # a malformed entry on the way: the peer
        (PROXY, "unknown", PROXY),
        (PROXY, "192.0.2.1, unknown", PROXY),
        (PROXY, "192.0.2.1,", PROXY),
        (PROXY, ",192.0.2.1", "192.0.2.1"),
        (PROXY, "192.0.2.999", PROXY),
        (PROXY, "192.0.2", PROXY),
        (PROXY, "0x7f.1", PROXY),
        (PROXY, "192.0.2.1/24", PROXY),
        (PROXY, "_hidden", PROXY),
        (PROXY, '"192.0.2.1"', PROXY),
        (PROXY, "192.0.2.1 198.51.100.2", PROXY),
        (PROXY, "for=192.0.2.1", PROXY),
        (PROXY, "2001:db8::g", PROXY),
        (PROXY, "[2001:db8::7", PROXY),
        (PROXY, "[2001:db8::7]x", PROXY),
        (PROXY, "[2001:db8::7]:port", PROXY),
        (PROXY, "192.0.2.1:port", PROXY),
        (PROXY, "192.0.2.1:", PROXY),
        (PROXY, "192.0.2.\u0661", PROXY),
        # a socket that has no address
        ("", "192.0.2.1", ""),
    ],
)
def test_the_client(peer: str, forwarded: str | None, client: str) -> None:
    assert client_of(peer, forwarded) == client_keys(client)


def test_a_very_long_chain() -> None:
    found = addresses.client_of(PROXY, "192.0.2.1, " + ", ".join([INNER] * 5000))
    assert found == addresses.Client("192.0.2.1", is_known=True)


@pytest.mark.parametrize(
    ("peer", "forwarded", "is_known"),
    [
        (PROXY, "192.0.2.1", True),
        ("198.51.100.7", "whatever it says", True),
        (PROXY, "", False),
        (PROXY, "unknown", False),
        (PROXY, "192.0.2.1, unknown", False),
        (PROXY, INNER, False),
        (PROXY, "192.0.2.1,", False),
    ],
)
def test_whether_the_client_is_known(peer: str, forwarded: str, is_known: bool) -> None:
    """Where a proxy does not say for whom it asks, its own address is nobody's."""
    assert addresses.client_of(peer, forwarded).is_known is is_known


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "::ffff:c000:201", True),
        ("192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("2001:DB8:1:2::1", "2001:0db8:1:2::1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_what_is_counted_together(one: str, other: str, same: bool) -> None:
    assert (client_keys(one)[1] == client_keys(other)[1]) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("192.0.2.1", "::ffff:192.0.2.254", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.3.1", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("no address", "", True),
        ("no address", "192.0.2.1", False),
    ],
)
def test_what_is_one_network(one: str, other: str, same: bool) -> None:
    assert (client_keys(one)[2] == client_keys(other)[2]) is same


def test_the_trail_tells_neighbours_apart() -> None:
    one, other = client_keys("2001:db8::1"), client_keys("2001:db8::2")
    assert one[1] == other[1]
    assert one[0] != other[0]


def test_hashes_are_keyed_and_name_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    digest, bucket, network = client_keys("192.0.2.1")
    assert len(digest) == 16
    assert "192.0.2" not in bucket + network
    client_keys.cache_clear()
    monkeypatch.setattr("fugata_site.middleware.client._HASH_KEY", b"another key")
    assert client_keys("192.0.2.1") != (digest, bucket, network)


@pytest.mark.parametrize(
    ("peer", "proto", "secure"),
    [
        (PROXY, "https", True),
        ("::ffff:10.0.0.1", "https", True),
        (SIX, "https", True),
        (PROXY, "http", False),
        (PROXY, None, False),
        ("198.51.100.7", "https", False),
        ("", "https", False),
    ],
)
def test_the_forwarded_scheme(peer: str, proto: str | None, secure: bool) -> None:
    headers = {} if proto is None else {"x-forwarded-proto": proto}
    assert passed(peer, **headers).is_secure() is secure


def test_without_trusted_proxies_nobody_is_believed(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert client_of("127.0.0.1", "192.0.2.1") == client_keys("127.0.0.1")
    assert not passed("127.0.0.1", **{"x-forwarded-proto": "https"}).is_secure()

"""Floods: from many addresses, and bodies that are made to cost more than they look."""

import contextlib
import gzip
from urllib.parse import urlencode

import psutil
import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import create, open_share
from tests.support.clients.wire import Line, exchange, request
from tests.support.servers.parts import RedisServer
from tests.support.servers.service import Service

MIB = 2**20
FORM = "application/x-www-form-urlencoded"


def _assert_well(service: Service) -> None:
    assert exchange(service.port, request("GET", "/healthz")).status == 200
    assert open_share(service.port, create(service.port, "well")).status == 200


def _memory(service: Service) -> int:
    (worker,) = service.workers()
    return int(psutil.Process(worker.pid).memory_info().rss)


def _from_many(count: int) -> list[bytes]:
    """Requests of as many clients: wrong tokens, so that guesses are counted too."""
    token = "tok_" + "A" * 22
    place = "/secrets/fug_" + "A" * 22
    return [
        request(
            "DELETE",
            place,
            authorization=f"Bearer {token}",
            x_forwarded_for=f"2001:db8:{number // 65536:x}:{number % 65536:x}::1",
        )
        for number in range(count)
    ]


def _flood(service: Service, count: int) -> set[int]:
    requests, statuses = _from_many(count), set()
    with Line(service.port) as line:
        for start in range(0, count, 100):
            some = requests[start : start + 100]
            line.send(*some)
            statuses |= {line.answer("DELETE").status for _ in some}
    return statuses


def test_a_flood_from_many_addresses(make_service: MakeService) -> None:
    service = make_service(TRUSTED_PROXIES="127.0.0.1", RATE_LIMIT_RPM="1", RATE_LIMIT_BURST="2")
    _flood(service, 500)
    before = _memory(service)
    assert _flood(service, 10_000) == {404}
    grown = _memory(service) - before
    print(f"10,000 clients: {grown // 1024} KiB more")
    assert grown < 50 * MIB
    service.wait_until_well()


def test_what_redis_keeps_of_them_expires(
    make_service: MakeService, redis_server: RedisServer
) -> None:
    import redis

    url = redis_server.url()
    service = make_service(TRUSTED_PROXIES="127.0.0.1", REDIS_URL=url)
    _flood(service, 500)
    with redis.Redis.from_url(url) as client:
        names = [name for name in client.scan_iter("*") if b"bucket" in name or b"rl:" in name]
        assert all(client.pttl(name) != -1 for name in names), "-1: it never expires"


BOMB = gzip.compress(b"0" * 200 * MIB)


@pytest.mark.parametrize(
    "path", ["/secrets", "/", "/s/x", "/s/x/delete", "/repositories/r/secrets"]
)
@pytest.mark.parametrize("kind", ["application/json", FORM])
def test_compressed_bodies_stay_compressed(service: Service, path: str, kind: str) -> None:
    before = _memory(service)
    data = request("POST", path, BOMB, content_encoding="gzip", content_type=kind)
    assert exchange(service.port, data).status in (400, 401, 403, 404, 415)
    assert _memory(service) - before < 50 * MIB
    _assert_well(service)


def _parts(count: int, disposition: str) -> bytes:
    part = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\nv\r\n".encode()
    return part * count + b"--x--\r\n"


MANY = {
    "fields": (FORM, urlencode([(f"f{n}", "v") for n in range(100_000)]).encode()),
    "one field": (FORM, b"content=v&" * 100_000),
    "empty fields": (FORM, b"&" * 1_000_000),
    "parts": ("multipart/form-data; boundary=x", _parts(10_000, 'name="content"')),
    "files": ("multipart/form-data; boundary=x", _parts(10_000, 'name="f"; filename="f"')),
    "a boundary that never comes": ("multipart/form-data; boundary=x", b"-" * 5_000_000),
    "part headers": (
        "multipart/form-data; boundary=x",
        b"--x\r\n" + b"X-Y: z\r\n" * 100_000 + b"\r\nv\r\n--x--\r\n",
    ),
}


@pytest.mark.parametrize("path", ["/", "/s/x", "/s/x/delete", "/secrets"])
@pytest.mark.parametrize("what", MANY)
def test_forms_of_thousands(service: Service, path: str, what: str) -> None:
    kind, body = MANY[what]
    before = _memory(service)
    answer = exchange(service.port, request("POST", path, body, content_type=kind))
    assert answer.status in (400, 403, 415)
    assert len(answer.body) < 100_000
    assert _memory(service) - before < 100 * MIB
    _assert_well(service)
    assert service.tracebacks() == []


def test_addresses_of_thousands_of_parameters(service: Service) -> None:
    short = "/?" + "a&" * 4000
    assert exchange(service.port, request("GET", short)).status == 200
    long = "/?" + urlencode([(f"p{n}", "v") for n in range(100_000)])
    with Line(service.port) as line:
        with contextlib.suppress(ConnectionError):  # refused and closed before all was sent
            assert line.send(request("GET", long)).answer().status == 414
    _assert_well(service)

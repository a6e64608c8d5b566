"""Senders that stall, and headers that name charsets which nobody knows, leave others served."""

import contextlib
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import MakeService
from tests.support.servers.service import Service


@contextlib.contextmanager
def _stalled(service: Service, count: int) -> Iterator[None]:
    """Announce `count` large bodies and send nothing of them."""
    head = b"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            sender = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            sender.sendall(head + b"Content-Length: 4194304\r\n\r\n")
        yield


def test_large_bodies_that_stall_leave_health_and_small_requests(
    make_service: MakeService,
) -> None:
    service = make_service(WEB_THREADS="8")
    with _stalled(service, 40):
        for _ in range(20):
            assert httpx.get(f"{service.url}/healthz", timeout=5).status_code == 200
        small = {"content": "s", "duration": "1h"}
        assert httpx.post(f"{service.url}/secrets", json=small, timeout=5).status_code == 201
    service.wait_until_well()


@pytest.mark.parametrize("path", ["/secrets", "/", "/healthz", "/s/x", "/nowhere"])
@pytest.mark.parametrize(
    "media_type",
    [
        "a/b; charset*=bogus'a'x",
        "application/json; charset*=bogus'a'x",
        "multipart/form-data; boundary=X; charset=base64",
        "application/x-www-form-urlencoded; charset=idna",
    ],
)
def test_a_charset_that_nobody_knows(service: Service, path: str, media_type: str) -> None:
    headers = {"Content-Type": media_type, "Accept": "text/html; x*=bogus'a'x"}
    answer = httpx.post(service.url + path, content=b"--X--\r\n", headers=headers)
    assert answer.status_code in (400, 403, 404, 405, 415)

"""Whatever a client does once its request has a thread: the thread waits until one moment."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.clients.sharing import create, open_request, open_share
from tests.support.clients.wire import Line, exchange, request
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service

MIB = 2**20
#: A byte is sent or read so often; a deadline that any byte extended would never come.
PACE, MANY = 0.2, 75
JSON = {"content_type": "application/json"}
LARGE = request("POST", "/secrets", None, content_length=str(2 * MIB), **JSON) + b" " * 100_000
CHUNKED = request("POST", "/secrets", None, transfer_encoding="chunked", **JSON)
#: A chunk of 2**64 bytes and more: 17 hexadecimal digits.
ENDLESS = CHUNKED + b"1" + b"0" * 16 + b"\r\n" + b" " * 100_000
TOO_LARGE = request("POST", "/secrets", None, content_length="90000000", **JSON) + b" " * 100_000
UNWANTED = request("POST", "/nowhere", None, content_length="90000000", **JSON) + b" " * 100_000
FORM = request(
    "POST", "/", content_length="100000", content_type="application/x-www-form-urlencoded"
)


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that gives each request two seconds, and has four threads."""
    home = tmp_path_factory.mktemp("brief") / "home"
    service = Service(home, WEB_THREADS="4", REQUEST_TIMEOUT="2").start()
    yield service
    service.stop()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (LARGE, 408),
        (ENDLESS, 408),
        (FORM + b"content=" + b"x" * 90_000, 408),
        (TOO_LARGE, 413),
        (UNWANTED, 404),
    ],
    ids=["large", "endless chunk", "form", "thrown away", "unwanted"],
)
def test_a_sender_who_goes_on_for_ever(brief: Service, data: bytes, status: int) -> None:
    answered = threading.Event()

    def trickle(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for _ in range(MANY):
                if answered.wait(PACE):
                    return
                client.sendall(b" ")
            client.shutdown(socket.SHUT_WR)  # for a service that would wait for ever

    with Line(brief.port) as line:
        sender = threading.Thread(target=trickle, args=(line.send(data).socket,))
        sender.start()
        try:
            assert line.answer("POST").status == status
        finally:
            answered.set()
            sender.join()
    assert exchange(brief.port, request("GET", "/healthz")).status == 200


def test_a_reader_who_goes_on_for_ever(brief: Service) -> None:
    """Fast enough to keep its thread for half a minute, were it not for the deadline."""
    share = create(brief.port, "large" * 2 * MIB, one_time=False)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", brief.port))
        client.sendall(open_request(share))
        received, hung_up = [0], select.poll()
        hung_up.register(client, 0)

        def is_reset() -> bool:
            if hung_up.poll(0):
                return True
            received[0] += len(client.recv(4096))
            return False

        wait_until(is_reset, "the end of an answer that is read too slowly", 60)
        assert received[0] < 5 * MIB
    assert open_share(brief.port, share).status == 200


def test_senders_of_endless_chunks_hold_no_thread(brief: Service) -> None:
    """Eighteen of them, with four threads: others are served meanwhile."""
    lines = [Line(brief.port) for _ in range(18)]
    for line in lines:
        line.send(CHUNKED + b"1" + b"0" * 16 + b"\r\n" + b" " * 1000)
    share = create(brief.port, "meanwhile")
    assert open_share(brief.port, share).json()["content"] == "meanwhile"
    for line in lines:
        line.send(b" ")
        line.close()

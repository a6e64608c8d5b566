"""Clients that send or read slowly, or not at all: others are served while those are held.

That others are served *meanwhile* is seen by the slow ones being there still, afterwards.
"""

import contextlib
import re
import resource
import select
import socket
from collections.abc import Callable, Iterator

import psutil
import pytest

from fugata_core.limits import FIRST_PART, MAX_QUEUED_BY_CLIENT, READERS
from tests.conftest import MakeService
from tests.support.clients.sharing import Share, create, create_request, open_request, open_share
from tests.support.clients.wire import Line, chunked, exchange, request
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service

MIB = 2**20
TOKEN = "a-token-of-the-scraper"
THREADS = 8
#: So many slow clients at a time: five for each thread.
MANY = 5 * THREADS
POST = b"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

Slow = Callable[[Service], bytes]


@pytest.fixture(scope="module")
def few_threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One process with few threads."""
    home = tmp_path_factory.mktemp("slow") / "home"
    service = Service(home, WEB_THREADS=str(THREADS)).start()
    yield service
    service.stop()


def _connect(service: Service, receive_buffer: int = 0) -> socket.socket:
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(60)
    client.connect(("127.0.0.1", service.port))
    return client


def _is_held(client: socket.socket) -> bool:
    """Return whether the service neither answered nor closed."""
    poll = select.poll()
    poll.register(client, select.POLLIN)
    return not poll.poll(0)


@contextlib.contextmanager
def _clients(service: Service, data: bytes, count: int = MANY) -> Iterator[list[socket.socket]]:
    """Clients that have sent `data` and send nothing more."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_connect(service)) for _ in range(count)]
        for client in clients:
            client.sendall(data)
        yield clients


def _assert_served(service: Service) -> None:
    """Health, a create and an open."""
    for path in ("/livez", "/healthz"):
        assert exchange(service.port, request("GET", path)).status == 200
    share = create(service.port, "meanwhile")
    assert open_share(service.port, share).json()["content"] == "meanwhile"


def _served_meanwhile(service: Service, data: bytes) -> bool:
    """Return whether others were served while all slow clients were still held."""
    count = MAX_QUEUED_BY_CLIENT if len(data) > FIRST_PART else MANY  # more are refused at once
    with _clients(service, data, count) as clients:
        _assert_served(service)
        return all(map(_is_held, clients))


SLOW = {
    "nothing": b"",
    "one byte": b"G",
    "half a head": b"GET /livez HTTP/1.1\r\nHost: local",
    "half of one for health": b"GET /healthz HTTP/1.1\r\n",
    "a small body": POST + b"Content-Length: 100\r\n\r\n{",
    "a small body of a form": b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nc",
    "a body for health": b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    "a chunked body": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX: ",
    "a large body": POST + b"Content-Length: 4194304\r\n\r\n{",
    "the beginning of a large body": POST + b"Content-Length: 4194304\r\n\r\n" + b"x" * 100_000,
    "the beginning of a chunked one": POST
    + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n"
    + b"x" * 100_000,
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_senders(few_threads: Service, kind: str) -> None:
    wait_until(lambda: _served_meanwhile(few_threads, SLOW[kind]), "service meanwhile", 120)
    _assert_served(few_threads)


def test_huge_bodies_wait_and_large_ones_pass(make_service: MakeService) -> None:
    """Two bodies over 1 MiB are read at a time, and leave places for others over 64 KiB."""
    service = make_service(WEB_THREADS="16", METRICS_TOKEN=TOKEN, TRUSTED_PROXIES="127.0.0.1")
    huge, large = create_request("h" * 2 * MIB), create_request("l" * (MIB // 2))
    first_huge, second_huge = _from("192.0.2.1", huge), _from("192.0.2.2", huge)
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(Line(service.port)) for _ in range(3))
        first.send(first_huge[:-1])
        second.send(second_huge[:-1])
        wait_until(lambda: _large_bodies_admitted(service) == 2, "two huge bodies")
        third.send(huge)
        for _ in range(5):
            assert exchange(service.port, large).status == 201
        assert _is_held(third.socket)
        assert _large_bodies_admitted(service) == 2 + 5
        assert first.send(huge[-1:]).answer("POST").status == 201
        assert third.answer("POST").status == 201
        assert second.send(huge[-1:]).answer("POST").status == 201


def _from(client: str, data: bytes) -> bytes:
    """Return a request as the proxy passes on what that client sent."""
    return data.replace(b"\r\n", f"\r\nX-Forwarded-For: {client}\r\n".encode(), 1)


def test_one_client_does_not_keep_others_out(make_service: MakeService) -> None:
    """Many who send a large body slowly, all from one address: a stranger's is taken at once."""
    service = make_service(WEB_THREADS="16", TRUSTED_PROXIES="127.0.0.1")
    slow = _from("192.0.2.1", SLOW["the beginning of a large body"])
    with _clients(service, slow) as clients:
        wait_until(lambda: not all(map(_is_held, clients)), "a queue that is full for them")
        stranger = _from("192.0.2.2", create_request("s" * 2 * MIB))
        assert exchange(service.port, stranger).status == 201
        assert sum(map(_is_held, clients)) >= 16


def _large_bodies_admitted(service: Service) -> int:
    page = exchange(service.port, request("GET", "/metrics", authorization=f"Bearer {TOKEN}"))
    count = re.search(rb'place_wait_seconds_count{limit="large_bodies"} (\d+)', page.body)
    return int(count[1]) if count else 0


def test_clients_that_do_not_let_go(few_threads: Service) -> None:
    """gunicorn waits two seconds for each in turn, in the loop that all connections depend on."""
    closing = request("GET", "/livez", connection="close")

    def let_go_together() -> bool:
        with _clients(few_threads, closing) as clients:
            for client in clients:  # until the service has closed its side of all of them
                while client.recv(4096):
                    pass
            awaited = _awaited(few_threads)
            _assert_served(few_threads)
            return awaited > MANY // 2

    wait_until(let_go_together, "clients that are awaited together", 120)


def _awaited(service: Service) -> int:
    """Return how many clients' ends of connections the service itself awaits (not its kernel)."""
    (worker,) = service.workers()
    awaited = (psutil.CONN_FIN_WAIT1, psutil.CONN_FIN_WAIT2)  # the first until it is confirmed
    return sum(each.status in awaited for each in worker.net_connections("tcp4"))


def test_health_does_not_queue(few_threads: Service) -> None:
    """Probes are answered by whoever is free, however many requests wait."""

    def ahead_of_many() -> bool:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(_connect(few_threads)) for _ in range(400)]
            for client in clients:
                client.sendall(create_request("s" * 5000))
            assert exchange(few_threads.port, request("GET", "/healthz")).status == 200
            return sum(map(_is_held, clients)) > 100

    wait_until(ahead_of_many, "an answer before the others'")
    _assert_served(few_threads)


def test_deadlines(few_threads: Service) -> None:
    """Each has its own: a head, a small body, a large one; and who sends nothing is let go."""
    late = [
        (SLOW["half a head"], {"error": "The request's head did not arrive in time"}),
        (SLOW["a small body"], {"error": "The request body did not arrive in time"}),
        (
            SLOW["the beginning of a large body"],
            {"error": "The request body did not arrive in time"},
        ),
    ]
    with contextlib.ExitStack() as stack:
        nothing, *lines = [stack.enter_context(Line(few_threads.port, 120)) for _ in range(4)]
        for line, (data, _) in zip(lines, late, strict=True):
            line.send(data)
        for line, (_, error) in zip(lines, late, strict=True):
            answer = line.answer("POST")
            assert (answer.status, answer.json()) == (408, error)
            assert line.ended()
        assert nothing.ended()


# --- Readers that do not read --------------------------------------------------------------------


@contextlib.contextmanager
def _not_reading(service: Service, share: Share) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_connect(service, 4096)) for _ in range(MANY)]
        for client in clients:
            client.sendall(open_request(share))
        yield clients


def _began(client: socket.socket) -> bool:
    try:
        return not _is_held(client) and client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
    except OSError:
        return False


def _is_reset(client: socket.socket) -> bool:
    """Return whether the connection is gone, though what came before can still be read."""
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


def test_readers_that_do_not_read(few_threads: Service) -> None:
    """Some hold a thread for a while; the others are told to come back, and nothing is used up."""
    large = create(few_threads.port, "large" * 2 * MIB, one_time=False)
    once = create(few_threads.port, "once " * MIB)

    def served_meanwhile() -> bool:
        with _not_reading(few_threads, large) as clients:
            wait_until(lambda: any(map(_began, clients)), "an answer that is not read")
            _assert_served(few_threads)
            refused = open_share(few_threads.port, once)
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) > 0
            return sum(map(_began, clients)) >= READERS.places(THREADS)

    wait_until(served_meanwhile, "service meanwhile", 120)
    wait_until(lambda: open_share(few_threads.port, once).status == 200, "the answer at last", 120)
    assert "Traceback" not in few_threads.logged()


def test_a_reader_who_does_not_read_is_given_up(few_threads: Service) -> None:
    share = create(few_threads.port, "large" * 2 * MIB, one_time=False)
    with _connect(few_threads, 4096) as client:
        client.sendall(open_request(share))
        wait_until(lambda: _began(client), "the beginning of the answer")
        wait_until(lambda: _is_reset(client), "a connection that is reset", 120)
    assert "Traceback" not in few_threads.logged()


def test_a_slow_reader_gets_everything(few_threads: Service) -> None:
    content = "slow " * MIB
    share = create(few_threads.port, content)
    with Line(few_threads.port) as line:
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        assert line.send(open_request(share)).answer().json()["content"] == content


# --- Many connections ----------------------------------------------------------------------------


@contextlib.contextmanager
def _descriptors() -> Iterator[int]:
    """Let this process have as many files open as it may; gives how many connections that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(11_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _grown(worker: psutil.Process, before: int) -> int:
    """Return by how many MiB the worker's memory has grown."""
    return (worker.memory_info().rss - before) // MIB


def test_ten_thousand_idle_connections(make_service: MakeService) -> None:
    """More than the service holds: the oldest make room for the new ones."""
    service = make_service()
    _assert_served(service)
    (worker,) = service.workers()
    before = worker.memory_info().rss
    with _descriptors() as count, _clients(service, b"", count) as clients:
        _assert_served(service)
        held = sum(map(_is_held, clients))
        print(f"{count} connections, {held} held, {_grown(worker, before)} MiB more")
        assert min(count, 10_000) * 0.8 < held <= 10_000
        assert _grown(worker, before) < 100
    _assert_served(service)


def test_unfinished_requests_are_bounded_together(make_service: MakeService) -> None:
    service = make_service()
    _assert_served(service)
    (worker,) = service.workers()
    before = worker.memory_info().rss
    data = POST + b"Content-Length: 65536\r\n\r\n" + b"x" * 60_000
    with _clients(service, data, 1200) as clients:  # 72 MB, of which 32 MiB are kept
        wait_until(lambda: not _is_held(clients[0]), "the end of the oldest")
        _assert_served(service)
        print(f"{sum(map(_is_held, clients))} held, {_grown(worker, before)} MiB more")
        assert _grown(worker, before) < 100
    _assert_served(service)


def test_no_file_descriptor_is_left(make_service: MakeService) -> None:
    """Connections make room for each other, and for the files that threads need."""
    service = make_service()
    _assert_served(service)
    (worker,) = service.workers()
    limit = worker.num_fds() + 60
    worker.rlimit(psutil.RLIMIT_NOFILE, (limit, 4096))
    with _clients(service, b"", 100):
        _assert_served(service)
        assert worker.num_fds() < limit - 10
    _assert_served(service)
    assert "No file descriptor is left" in service.logged()
    assert service.workers() == [worker]


# --- What stays as it was ------------------------------------------------------------------------


def test_a_stop_does_not_wait_for_slow_clients(make_service: MakeService) -> None:
    service = make_service()
    share = create(service.port, "kept")
    with _clients(service, b""), _clients(service, SLOW["the beginning of a large body"]):
        assert service.stop() == 0
    assert "is killed" not in service.logged()
    service.start()
    assert open_share(service.port, share).json()["content"] == "kept"


@pytest.mark.parametrize("size", [1, 100_000, 3 * MIB])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_whoever_expects_to_be_told_is_told_once(
    service: Service, size: int, in_chunks: bool
) -> None:
    whole = create_request("x" * size)
    head, body = whole.split(b"\r\n\r\n", 1)
    if in_chunks:
        head = head.replace(b"content-length: %d" % len(body), b"transfer-encoding: chunked")
    pieces = chunked([body]) if in_chunks else [body]
    with Line(service.port) as line:
        line.send(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert line.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert line.send(*pieces).socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 201"
        assert line.answer("POST").status == 201


def test_requests_in_a_row_without_waiting(service: Service) -> None:
    """All at once, and cut at odd places: each is answered, in order."""
    requests = [create_request(f"row {n}") for n in range(20)] + [request("GET", "/livez")] * 20
    data = b"".join(requests)
    for size in (len(data), 7919, 100):
        with Line(service.port) as line:
            for start in range(0, len(data), size):
                line.send(data[start : start + size])
            statuses = [line.answer("POST").status for _ in requests]
        assert statuses == [201] * 20 + [200] * 20


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"Cookie: a=b\r\n" * 6000, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"x" * 2 * MIB, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"x" * 2 * MIB, 414),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    ],
    ids=["many headers", "a huge cookie", "too many headers", "a huge address", "bare line feeds"],
)
def test_heads_that_are_refused(service: Service, data: bytes, status: int) -> None:
    with Line(service.port) as line:
        with contextlib.suppress(OSError):  # closed before all was sent
            line.send(data)
        with contextlib.suppress(OSError):
            assert line.answer().status == status
    _assert_served(service)

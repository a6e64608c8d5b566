"""Bad input on plain sockets: an answer of ours, never a 500, and the service stays well."""

import json
from collections.abc import Iterator

import pytest

from tests.support.clients.sharing import create, create_request, open_share
from tests.support.clients.wire import Answer, Line, chunked, exchange, request
from tests.support.servers.service import Service

MAX = 4096
MIB = 2**20
TOO_LARGE = {"error": f"Secret exceeds maximum size of {MAX} bytes"}
GOOD = json.dumps({"content": "s", "duration": "1h"}).encode()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service with small limits, which must be well and quiet at the end."""
    home = tmp_path_factory.mktemp("strict") / "home"
    service = Service(home, MAX_SECRET_SIZE=str(MAX)).start()
    yield service.port
    well, status = service.is_well(), service.stop()
    assert (well, status) == (True, 0)
    assert service.tracebacks() == []


@pytest.fixture(autouse=True)
def well_afterwards(port: int) -> Iterator[None]:
    """After each test a share is made and opened."""
    yield
    share = create(port, "still here")
    assert open_share(port, share).json()["content"] == "still here"


def assert_ours(answer: Answer, *statuses: int) -> None:
    """It is one of our answers: JSON, one sentence, no stack trace."""
    assert answer.status in statuses, (answer.status, answer.body[:200])
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert "Traceback" not in answer.json()["error"]


def assert_refused(answer: Answer) -> None:
    """gunicorn or the service refuses it, and it is not a failure of the server."""
    assert 400 <= answer.status < 500 or answer.status == 501, answer.status
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"s"',
        b"{}",
        b"\xff\xfe\x00",
        GOOD + b"x",
        b'{"content": "\xed\xa0\x80", "duration": "1h"}',
        b'{"content": "\\ud800", "duration": "1h"}',
        b'{"content": 1, "duration": "1h"}',
        b'{"content": "s", "duration": ["1h"]}',
        b'{"content": "s", "duration": "1h", "one_time": "yes"}',
        b'{"content": "s", "duration": "1h", "one_time": 1}',
        b'{"content": "s", "duration": "1h", "metadata": {}}',
        b'{"content": "s", "duration": "1h", "metadata": "\\u0000"}',
        b'{"content": NaN, "duration": "1h"}',
        b"content=s&duration=1h",
    ],
)
def test_malformed_json(port: int, body: bytes) -> None:
    assert_ours(exchange(port, request("POST", "/secrets", body)), 400)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"unknown":[', b'{"content":['])
def test_nesting_too_deep(port: int, opening: bytes) -> None:
    """100,000 levels exceed this service's body limit; as many as fit are refused as JSON."""
    deepest = (6 * MAX + 65536) // len(opening) - 1
    assert_ours(exchange(port, request("POST", "/secrets", opening * deepest)), 400)
    assert_ours(exchange(port, request("POST", "/secrets", opening * 100_000)), 400, 413)


def test_nesting_too_deep_within_the_limit(service: Service) -> None:
    for opening in (b"[", b'{"unknown":[', b'{"content":['):
        answer = exchange(service.port, request("POST", "/secrets", opening * 100_000))
        assert_ours(answer, 400)


def test_the_client_sees_the_413(port: int) -> None:
    body = b" " * (20 * MIB)
    with Line(port) as line:
        answer = line.send(request("POST", "/secrets", body)).answer()
        assert_ours(answer, 413)
        assert answer.json() == TOO_LARGE
        assert line.send(create_request("next")).answer().status == 201 or line.ended()


def test_the_client_sees_the_413_of_a_chunked_body(port: int) -> None:
    pieces = chunked(b" " * MIB for _ in range(20))
    with Line(port) as line:
        line.send(_chunked_head())
        answer = line.send(*pieces).answer()
        assert_ours(answer, 413)
        assert answer.json() == TOO_LARGE


def test_the_connection_lives_on_after_a_refusal(port: int) -> None:
    with Line(port) as line:
        for body, status in ((b"{", 400), (_content(MAX + 1), 413), (_content(MAX), 201)):
            answer = line.send(request("POST", "/secrets", body)).answer()
            assert answer.status == status
            assert answer.headers.get("connection", "keep-alive") != "close"


def _content(size: int) -> bytes:
    return json.dumps({"content": "x" * size, "duration": "1h"}).encode()


def test_no_bytes_of_a_refused_body_become_a_request(port: int) -> None:
    """A request smuggled in a body that is thrown away is thrown away with it."""
    inner = request("GET", "/livez")
    with Line(port) as line:
        line.send(request("POST", "/secrets", inner * 4000))
        assert_ours(line.answer(), 413)
        assert line.send(request("GET", "/secrets/nothing")).answer().status == 404


@pytest.mark.parametrize("sizes", [[1], [7, 1, 9], [1000]])
def test_a_chunked_create(port: int, sizes: list[int]) -> None:
    body = json.dumps({"content": "chunked ✓" * 50, "duration": "1h"}).encode()
    pieces: list[bytes] = []
    while body:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[:size])
        body = body[size:]
    with Line(port) as line:
        line.send(_chunked_head(), *chunked(pieces))
        made = line.answer()
        assert made.status == 201
        opened = line.send(request("GET", f"/secrets/{made.json()['id']}")).answer()
        assert opened.json()["content"] == "chunked ✓" * 50


def _chunked_head() -> bytes:
    return request("POST", "/secrets", transfer_encoding="chunked", content_type="application/json")


@pytest.mark.parametrize("sent", [b"zz\r\n", b"5\r\nab", b"-1\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n"])
def test_a_broken_chunked_body(port: int, sent: bytes) -> None:
    with Line(port) as line:
        answer = line.send(_chunked_head(), sent).half_close().answer()
        assert_refused(answer)


@pytest.mark.parametrize("announced", [len(GOOD) + 1, 5000, 60_000])
def test_a_body_that_stops_half_way(port: int, announced: int) -> None:
    data = request("POST", "/secrets", GOOD, content_length=str(announced))
    with Line(port) as line:
        answer = line.send(data).half_close().answer()
        assert_ours(answer, 400)


@pytest.mark.parametrize("announced", ["-1", "1e3", "٣", "1, 2", "x" * 100, "9" * 30])
def test_a_nonsensical_length(port: int, announced: str) -> None:
    data = request("POST", "/secrets", GOOD)
    data = data.replace(b"content-length: %d" % len(GOOD), f"content-length: {announced}".encode())
    with Line(port) as line:
        assert_refused(line.send(data).half_close().answer())


@pytest.mark.parametrize(
    "data",
    [
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: a\rb\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX A: b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 2 * MIB + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X-A: a\r\n" * 50_000 + b"\r\n",
        b"GET /secrets/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["folded", "bare-cr", "space", "megabytes", "many", "two-paths", "tls", "two-lengths"],
)
def test_what_is_not_http(port: int, data: bytes) -> None:
    """gunicorn's refusal, or a closed connection, is fine; a 500 is not."""
    with Line(port) as line:
        try:
            answer = line.send(data).half_close().answer()
        except (ConnectionError, OSError):
            return  # refused before everything was sent
        assert_refused(answer)


@pytest.mark.parametrize(
    "share_id",
    [
        "%00",
        "fug_%00",
        "a%2Fb",
        "%2e%2e%2fhealthz",
        "..",
        "../healthz",
        "%ff%fe",
        "%F0%9F%92%A9",
        "fug_" + "a" * 22,
        "a" * 8000,
        "%41" * 2600,
        "?x=1",
        "%",
        "fug_aaaaaaaaaaaaaaaaaaaaaa%0A",
        "fug_aaaaaaaaaaaaaaaaaaaaaa/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_odd_ids(port: int, method: str, share_id: str) -> None:
    answer = exchange(port, request(method, f"/secrets/{share_id}", authorization="Bearer t"))
    assert_ours(answer, 404)


def test_an_id_longer_than_a_request_line_may_be(port: int) -> None:
    assert_refused(exchange(port, request("GET", "/secrets/" + "a" * 10_000)))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "FOO", "OPTIONS"])
@pytest.mark.parametrize("path", ["/secrets", "/secrets/fug_aaaaaaaaaaaaaaaaaaaaaa"])
def test_undocumented_methods(port: int, method: str, path: str) -> None:
    answer = exchange(port, request(method, path, b"{}"))
    assert_ours(answer, 405)
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic eDp5", "Bearer a b", "Bearer " + "a" * 5000]
)
def test_odd_authorization(port: int, header: str) -> None:
    share = create(port)
    data = request("DELETE", f"/secrets/{share.id}", authorization=header)
    assert_ours(exchange(port, data), 401)
    assert open_share(port, share).status == 200

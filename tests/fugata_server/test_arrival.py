"""What counts as arrived: gunicorn's own parser must then find all that it asks for."""

import itertools
from collections.abc import Sequence

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from fugata_core.limits import FIRST_PART
from fugata_server.arrival import MAX_HEAD, Arrival, ArrivalState

CONFIG = Config()
CONFIG.set("limit_request_line", 8190)


class WouldBlock(BaseException):
    """gunicorn asked for bytes that have not come in: a thread would wait for them."""


class Wire:
    """A socket on which just so much has come in."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def recv(self, size: int) -> bytes:
        """Return what is there."""
        if not self._data:
            raise WouldBlock()
        data, self._data = self._data[:size], self._data[size:]
        return data


def parsed(data: bytes) -> bytes | None:
    """Return the body that gunicorn reads, None where it refuses. Raises WouldBlock."""
    try:
        message = next(RequestParser(CONFIG, Wire(data), ("192.0.2.1", 1)))
        return bytes(message.body.read())
    except Exception:
        return None


def arrived(*pieces: bytes) -> Arrival:
    arrival = Arrival()
    for piece in pieces:
        arrival.add(piece)
        if arrival.state not in (ArrivalState.HEAD, ArrivalState.BODY):
            break
    return arrival


def in_pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def post(body: bytes, fields: bytes = b"") -> bytes:
    return b"POST /secrets HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n" + body


def sized(body: bytes) -> bytes:
    return post(body, b"Content-Length: %d\r\n" % len(body))


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x;a=b\r\n%s\r\n" % (len(each), each) for each in chunks)
    return post(body + b"0\r\n" + trailer + b"\r\n", b"transfer-encoding: Chunked\r\n")


REQUESTS = [
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    sized(b"abc"),
    sized(b"x" * (FIRST_PART - 1)),
    sized(b"\r\n\r\n" * 9),
    chunked(),
    chunked(b"abc", b"\r\n0\r\n\r\n", b"d" * 5000),
    chunked(b"abc", trailer=b"X-Sum: 1\r\n"),
    post(b"abc", b"CONTENT-LENGTH:3\r\n"),
    post(b"abc", b"Content-Length: \t 3 \t\r\n"),
]


@pytest.mark.parametrize("data", REQUESTS)
@given(cuts=st.lists(st.integers(0, 2**20), max_size=8))
def test_a_request_has_arrived_with_its_last_byte(data: bytes, cuts: list[int]) -> None:
    assert arrived(*in_pieces(data, cuts)).state is ArrivalState.WHOLE
    assert arrived(*in_pieces(data[:-1], cuts)).state in (ArrivalState.HEAD, ArrivalState.BODY)
    assert parsed(data) is not None


@pytest.mark.parametrize("data", REQUESTS)
def test_what_follows_is_kept(data: bytes) -> None:
    arrival = arrived(data + b"GET /next")
    assert arrival.state is ArrivalState.WHOLE
    assert arrival.data == data + b"GET /next"


ODD = [
    b"\r\n", b"\n", b"\r", b"0", b"5", b"abc", b":", b" ", b"\t", b";", b"\x00", b"\xff",
    b"gzip", b",",
    b"Content-Length: 3\r\n", b"Content-Length: 3\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: \xb2\r\n", b"Content-Length: 1_0\r\n", b"Content-Length : 9\r\n",
    b"Content-Length:" + b"9" * 30 + b"\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: xchunked\r\n", b" folded\r\n", b"X: y\r\n", b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n", b"POST / HTTP/1.1\r\n", b"POST / HTTP/2.0\r\n", b"\r\n\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n", b"ffffffffffffffffffff\r\n", b"x" * 9000,
]  # fmt: skip


@given(pieces=st.lists(st.sampled_from(ODD), min_size=1, max_size=12), start=st.sampled_from(ODD))
def test_no_thread_waits_for_what_has_arrived(pieces: list[bytes], start: bytes) -> None:
    """Whatever is sent: when it counts as whole, gunicorn answers or refuses it at once."""
    for data in (start + b"".join(pieces), b"POST / HTTP/1.1\r\n" + b"".join(pieces)):
        if arrived(data).state is ArrivalState.WHOLE:
            parsed(data)


@pytest.mark.parametrize(
    "data",
    [
        sized(b"x" * (FIRST_PART + 1))[:-1],
        sized(b"x" * 2**20),
        chunked(b"x" * FIRST_PART)[:-1],
        chunked(b"x" * 2**20),
        post(b"f" * FIRST_PART, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_a_large_body_is_handed_on_with_its_first_part(data: bytes) -> None:
    first = data.index(b"\r\n\r\n") + 4 + FIRST_PART
    assert arrived(data[: first - 1]).state is ArrivalState.BODY
    assert arrived(data[:first]).state is ArrivalState.LARGE


def test_a_head_has_its_length() -> None:
    line = b"GET / HTTP/1.1\r\n"
    assert arrived(line + b"X: y\r\n" * (MAX_HEAD // 6 + 1)).state is ArrivalState.TOO_LONG
    whole = line + b"X: y\r\n" * (MAX_HEAD // 6) + b"\r\n"
    assert arrived(whole).state is ArrivalState.TOO_LONG
    assert arrived(line + b"X: y\r\n" * 1000).state is ArrivalState.HEAD


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: x\n\n", b"GET /" + b"x" * 9000])
def test_what_gunicorn_refuses_is_not_awaited(data: bytes) -> None:
    assert arrived(data).state is ArrivalState.WHOLE
    assert parsed(data) is None


@pytest.mark.parametrize(
    ("head", "expects"),
    [
        (b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\n", True),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n", False),
        (b"POST / HTTP/1.1\r\n", False),
        (b"POST / HTTP/1.1\r\nExpect: other\r\n", False),
    ],
)
def test_who_expects_to_be_told(head: bytes, expects: bool) -> None:
    assert arrived(head + b"Content-Length: 3\r\n\r\n").expects_continue is expects


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", True),
        (b"HEAD /livez HTTP/1.0\r\n\r\n", True),
        (b"GET /healthz HTTP/1.1\r\nContent-Length: 5\r\n\r\n", False),
        (b"GET /healthzz HTTP/1.1\r\n\r\n", False),
        (b"POST /livez HTTP/1.1\r\n\r\n", False),
        (b"GET /healthz HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * FIRST_PART, False),
    ],
)
def test_who_asks_for_health(data: bytes, is_one: bool) -> None:
    assert arrived(data).is_probe() is is_one


@pytest.mark.parametrize("digits", [1, 16, 17, 200])
def test_a_chunk_size_with_zeros_before_it(digits: int) -> None:
    """gunicorn's parser takes any number of digits, so there is as much to wait for."""
    size = f"{FIRST_PART * 4:x}".zfill(digits)
    head = b"POST /secrets HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + size.encode() + b"\r\n"
    assert Arrival().add(data + b"x") is ArrivalState.BODY
    assert Arrival().add(data + b"x" * FIRST_PART) is ArrivalState.LARGE

"""What counts as arrived: gunicorn's own parsers must agree on where each request ends."""

import gc
import itertools
import re
import weakref
from collections.abc import Sequence

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from fugata_core.errors import FugataError
from fugata_core.limits import FIRST_PART, HUGE_BODY
from fugata_server.arrival import MAX_HEAD, Arrival, ArrivalState
from fugata_server.body import BodyLost
from tests.fugata_server.wires import Wire, WouldBlock

CONFIG = Config()
CONFIG.set("limit_request_line", 8190)


def parsed(data: bytes) -> bytes | None:
    """Return the body that gunicorn's other parser reads, None where it refuses.

    Raises WouldBlock.
    """
    try:
        message = next(RequestParser(CONFIG, Wire(data), ("192.0.2.1", 1)))
        return bytes(message.body.read())
    except Exception:
        return None


def new_arrival() -> Arrival:
    return Arrival(CONFIG, Wire(), ("192.0.2.1", 1), 1)


def arrived(*pieces: bytes) -> Arrival:
    arrival = new_arrival()
    for piece in pieces:
        if arrival.add(piece) not in (ArrivalState.HEAD, ArrivalState.BODY):
            break
    return arrival


def read(arrival: Arrival) -> bytes | None:
    """Return the body, None where it is lost. Raises WouldBlock."""
    assert arrival.body is not None
    try:
        return arrival.body.read()
    except BodyLost:
        return None


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
    arrival = arrived(*in_pieces(data, cuts))
    assert arrival.state is ArrivalState.WHOLE
    assert read(arrival) == parsed(data) is not None
    assert arrived(*in_pieces(data[:-1], cuts)).state in (ArrivalState.HEAD, ArrivalState.BODY)


@pytest.mark.parametrize("data", REQUESTS)
def test_what_follows_is_kept(data: bytes) -> None:
    arrival = arrived(data + b"GET /next")
    assert arrival.state is ArrivalState.WHOLE
    assert arrival.body is not None
    assert arrival.body.ahead == b"GET /next"
    assert read(arrival) == parsed(data)


#: The last chunk, and a trailer after it. Nobody reads trailers; malformed ones are passed over.
TRAILER = re.compile(rb"(?:^|\n)0+[ \t]*(?:;[^\r\n]*)?\r\n(?!\r\n)")


def assert_agreed(arrival: Arrival, data: bytes) -> None:
    """The other parser reads the same, without waiting; what is refused here, it never accepts."""
    body = read(arrival)
    try:
        other = parsed(data)
    except WouldBlock:
        assert body is None
        return
    assert other == body or (other is None and TRAILER.search(data))


HOST = re.compile(rb"(?m)^Host:")
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
    """Whatever is sent: what counts as whole is read, or refused, without another byte."""
    for data in (start + b"".join(pieces), b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(pieces)):
        try:
            arrival = arrived(data)
        except FugataError:
            assert b"gzip" in data or not HOST.search(data) or parsed(data) is None
            continue
        if arrival.state is ArrivalState.WHOLE:
            assert_agreed(arrival, data)


CHUNKS = [
    b"0", b"1", b"3", b"a", b"F", b"10", b"0" * 17, b"f" * 17, b"1" + b"0" * 16, b"-1", b"+1",
    b"0x1", b"1_0", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b" ", b"\t", b";", b";a", b";a=b",
    b';a="b\r\n"', b"abc", b"x" * 16, b"X: y\r\n", b"Host: y\r\n", b"\r\n\r\n", b"0\r\n\r\n",
    b"3\r\nabc\r\n", b"\xff", b"9" * 9000,
]  # fmt: skip


@given(pieces=st.lists(st.sampled_from(CHUNKS), max_size=14), cuts=st.lists(st.integers(0, 2**20)))
def test_both_parsers_find_the_same_chunks(pieces: list[bytes], cuts: list[int]) -> None:
    data = post(b"".join(pieces), b"Transfer-Encoding: chunked\r\n")
    arrival = arrived(*in_pieces(data, cuts))
    if arrival.state is ArrivalState.WHOLE:
        assert_agreed(arrival, data)


@pytest.mark.parametrize(
    ("data", "framing"),
    [
        (sized(b"x" * (FIRST_PART + 1)), 0),
        (sized(b"x" * 2**20), 0),
        (chunked(b"x" * (FIRST_PART + 1)), len(b"10001;a=b\r\n")),
        (chunked(b"x" * 2**20), len(b"100000;a=b\r\n")),
    ],
)
def test_a_large_body_is_handed_on_with_its_first_part(data: bytes, framing: int) -> None:
    first = data.index(b"\r\n\r\n") + 4 + framing + FIRST_PART
    assert arrived(data[: first - 1]).state is ArrivalState.BODY
    assert arrived(data[:first]).state is ArrivalState.LARGE


def test_a_line_that_is_no_chunk_size_is_not_awaited() -> None:
    endless = arrived(post(b"f" * 9000, b"Transfer-Encoding: chunked\r\n"))
    assert endless.state is ArrivalState.WHOLE
    assert read(endless) is None


def test_a_head_has_its_length() -> None:
    line = b"GET / HTTP/1.1\r\n"
    assert arrived(line + b"X: y\r\n" * 1000).state is ArrivalState.HEAD
    for end in (b"X: y\r\n", b"\r\n"):
        with pytest.raises(FugataError) as raised:
            arrived(line + b"X: y\r\n" * (MAX_HEAD // 6) + end)
        assert raised.value.status == 431


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\n", 400),
        (b"GET /" + b"x" * 9000, 414),
        (b"GET /" + b"x" * 8190 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/3.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nCookie: " + b"x" * 8190 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nExpect: a miracle\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
)
def test_what_gunicorn_refuses_is_not_awaited(data: bytes, status: int) -> None:
    with pytest.raises(FugataError) as raised:
        arrived(data)
    assert raised.value.status == status
    assert parsed(data) is None


def test_who_names_no_host_is_refused() -> None:
    """Unless it speaks HTTP/1.0 (RFC 9112, section 3.2)."""
    with pytest.raises(FugataError) as raised:
        arrived(b"GET / HTTP/1.1\r\nX: y\r\n\r\n")
    assert (raised.value.status, "Host" in raised.value.sentence) == (400, True)
    assert arrived(b"GET / HTTP/1.0\r\n\r\n").state is ArrivalState.WHOLE


def test_a_body_that_is_compressed_as_a_transfer_coding() -> None:
    """gunicorn passes it on as it is."""
    with pytest.raises(FugataError) as raised:
        arrived(post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked\r\n"))
    assert raised.value.status == 501


def test_a_chunked_body_is_freed_when_nobody_needs_it() -> None:
    """Not at the next garbage collection: it may be large."""
    arrival = arrived(post(b"3\r\nabc\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"))
    assert read(arrival) == b"abc"
    body = weakref.ref(arrival.body)
    gc.disable()
    try:
        del arrival
        assert body() is None
    finally:
        gc.enable()


def test_what_follows_a_whole_body_is_kept() -> None:
    arrival = arrived(post(b"3\r\nabc\r\n0\r\n\r\nGET", b"Transfer-Encoding: chunked\r\n"))
    assert arrival.body
    arrival.body.feed(b" / HTTP/1.1")
    assert (arrival.body.ahead, arrival.body.read()) == (b"GET / HTTP/1.1", b"abc")


def test_tiny_chunks_are_not_awaited_for_ever() -> None:
    tiny = post(b"1\r\nx\r\n" * 50_000, b"Transfer-Encoding: chunked\r\n")
    assert read(arrived(tiny)) is None
    small = post(b"4\r\nabcd\r\n" * 10_000, b"Transfer-Encoding: chunked\r\n")
    assert arrived(small).state is ArrivalState.BODY


EXPECT = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n"


@pytest.mark.parametrize(
    ("head", "state"),
    [
        (EXPECT + b"Content-Length: 3\r\n", ArrivalState.LARGE),
        (EXPECT + b"Content-Length: 1000000000000\r\n", ArrivalState.LARGE),
        (EXPECT + b"Transfer-Encoding: chunked\r\n", ArrivalState.LARGE),
        (EXPECT + b"Content-Length: 0\r\n", ArrivalState.WHOLE),
        (EXPECT, ArrivalState.WHOLE),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n", ArrivalState.BODY),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n", ArrivalState.BODY),
    ],
)
def test_who_expects_to_be_told_gets_a_thread_first(head: bytes, state: ArrivalState) -> None:
    assert arrived(head + b"\r\n").state is state


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", True),
        (b"HEAD /livez HTTP/1.0\r\n\r\n", True),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", False),
        (b"GET /healthzz HTTP/1.1\r\nHost: x\r\n\r\n", False),
        (b"POST /livez HTTP/1.1\r\nHost: x\r\n\r\n", False),
        (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
            + b"x" * FIRST_PART,
            False,
        ),
    ],
)
def test_who_asks_for_health(data: bytes, is_one: bool) -> None:
    assert arrived(data).is_probe() is is_one


@pytest.mark.parametrize("digits", [1, 16, 17, 200])
def test_a_chunk_size_with_zeros_before_it(digits: int) -> None:
    """Any number of digits is allowed, so there is as much to wait for."""
    size = f"{FIRST_PART * 4:x}".zfill(digits)
    data = post(size.encode() + b"\r\n", b"Transfer-Encoding: chunked\r\n")
    assert arrived(data + b"x").state is ArrivalState.BODY
    assert arrived(data + b"x" * FIRST_PART).state is ArrivalState.LARGE


@pytest.mark.parametrize(
    ("framing", "huge"),
    [
        (b"Content-Length: %d" % HUGE_BODY, False),
        (b"Content-Length: %d" % (HUGE_BODY + 1), True),
        (b"Content-Length: %d" % (HUGE_BODY * 10_000), False),
        (b"Transfer-Encoding: chunked", True),
    ],
)
def test_what_is_huge(framing: bytes, huge: bool) -> None:
    """Nobody knows how long a chunked body will be; what is over the limit is thrown away."""
    assert arrived(post(b"", framing + b"\r\n")).is_huge() is huge


def test_how_much_of_it_is_held() -> None:
    arrival = new_arrival()
    assert arrival.size == 0
    arrival.add(b"G")
    assert arrival.size == 1
    arrival.add(sized(b"abc")[1:-1].replace(b"POST", b"GET"))
    assert arrival.size == 2

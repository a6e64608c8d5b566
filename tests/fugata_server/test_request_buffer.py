"""Reading a body: whole, bounded, chunked or not, and two large ones at a time."""

import io
import tracemalloc
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from fugata_core.errors import BodyCutShort, BodyTooLarge, BodyTooSlow, FugataError
from fugata_core.limits import DISCARDS, Discard, bulkhead
from fugata_server.body import CONTINUE, RequestBody
from fugata_server.request_buffer import body_in_memory, discard, has_body
from tests.fugata_server.wires import Wire

MIB = 2**20


class Stream:
    """What gunicorn hands over: it ends by itself, and may give less than was asked for."""

    def __init__(self, data: bytes, step: int = 2**30, error: Exception | None = None) -> None:
        self._data, self._step, self._error = io.BytesIO(data), step, error
        self.taken = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; raise what was to be raised at the end."""
        piece = self._data.read(min(size, self._step))
        self.taken += len(piece)
        if not piece and size and self._error:
            raise self._error
        return piece

    def readline(self, size: int = -1) -> bytes:
        """Django looks whether there is one."""
        raise AssertionError("nobody reads a body by lines")


def request(stream: Stream | RequestBody, length: int | str | None) -> WSGIRequest:
    """Return a request with that Content-Length, or a chunked one."""
    environ: dict[str, Any] = RequestFactory().post("/secrets").META | {"wsgi.input": stream}
    environ.pop("CONTENT_LENGTH", None)
    if length is None:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    else:
        environ["CONTENT_LENGTH"] = str(length)
    return WSGIRequest(environ)


def read(stream: Stream, length: int | None, limit: int = 4 * MIB) -> bytes:
    asked = request(stream, length)
    with body_in_memory(asked, limit):
        return asked.body


@pytest.mark.parametrize("size", [1, 2**18 - 1, 2**18, 2**18 + 1, MIB, MIB + 1, 4 * MIB])
@pytest.mark.parametrize("chunked", [True, False])
def test_the_whole_body(size: int, chunked: bool) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert read(Stream(data[:size]), None if chunked else size) == data[:size]


@given(data=st.binary(max_size=3000), step=st.integers(1, 3000))
def test_a_chunked_body_that_comes_in_pieces(data: bytes, step: int) -> None:
    assert read(Stream(data, step), None) == data


def test_django_sees_a_length() -> None:
    asked = request(Stream(b"abc"), None)
    with body_in_memory(asked, 4 * MIB):
        assert asked.META["CONTENT_LENGTH"] == "3"
        assert asked.body == b"abc"


@pytest.mark.parametrize(
    ("length", "there"), [("0", False), ("", False), ("1", True), (None, True)]
)
def test_whether_there_is_a_body(length: str | None, there: bool) -> None:
    assert has_body(request(Stream(b""), length)) is there


@pytest.mark.parametrize("announced", [4, 2**18 + 4, MIB + 4])
def test_a_body_that_ends_early(announced: int) -> None:
    with pytest.raises(BodyCutShort):
        read(Stream(b"x" * (announced - 1)), announced)


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (TimeoutError(), BodyTooSlow),
        (ConnectionResetError(), BodyCutShort),
        (OSError("bad chunk"), BodyCutShort),
        (ValueError("s3cret"), BodyCutShort),
    ],
)
@pytest.mark.parametrize("chunked", [True, False])
def test_a_sender_that_is_lost(error: Exception, becomes: type[FugataError], chunked: bool) -> None:
    with pytest.raises(becomes) as raised:
        read(Stream(b"", error=error), None if chunked else 3)
    assert "s3cret" not in raised.value.sentence
    assert 400 <= raised.value.status < 500


def test_a_declared_length_over_the_limit_is_thrown_away() -> None:
    stream = Stream(b"x" * (4 * MIB + 1))
    with pytest.raises(BodyTooLarge):
        read(stream, 4 * MIB + 1)
    assert stream.taken == 4 * MIB + 1


def test_a_chunked_body_over_the_limit_is_thrown_away() -> None:
    stream = Stream(b"x" * (20 * MIB))
    with pytest.raises(BodyTooLarge) as raised:
        read(stream, None)
    assert raised.value.status == 413
    assert stream.taken == 20 * MIB


def test_throwing_away_is_bounded_in_bytes() -> None:
    stream = Stream(b"x" * 5 * MIB)
    discard(request(stream, 5 * MIB), Discard(MIB, 10.0))
    assert stream.taken == MIB


def test_throwing_away_is_bounded_in_time() -> None:
    stream = Stream(b"x" * 5 * MIB)
    discard(request(stream, 5 * MIB), Discard(MIB, 0.0))
    assert stream.taken == 0


def test_throwing_away_bears_a_sender_that_is_lost() -> None:
    discard(request(Stream(b"x", error=ConnectionResetError()), None))


def test_what_was_read_is_not_thrown_away() -> None:
    asked = request(Stream(b"abcdef"), 3)
    with body_in_memory(asked, 4 * MIB):
        discard(asked)
        assert asked.body == b"abc"


def test_few_are_thrown_away_at_a_time(settings: Settings) -> None:
    settings.WEB_THREADS = 4
    stream = Stream(b"x" * MIB)
    with bulkhead(DISCARDS).place():
        discard(request(stream, MIB))
    assert stream.taken == 0
    discard(request(stream, MIB))
    assert stream.taken == MIB


def test_nobody_is_asked_to_send_what_is_thrown_away() -> None:
    wire = Wire(b"abc")
    body = RequestBody(wire, 3, awaits_continue=True)
    discard(request(body, 3))
    assert wire.sent == b""
    asked = request(body, 3)
    with body_in_memory(asked, 4 * MIB):
        assert asked.body == b"abc"
    assert wire.sent == CONTINUE


def test_a_body_is_in_memory_once() -> None:
    stream = Stream(bytes(32 * MIB))
    tracemalloc.start()
    try:
        assert len(read(stream, None, 64 * MIB)) == 32 * MIB
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * 32 * MIB

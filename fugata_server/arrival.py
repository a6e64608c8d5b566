"""How much of a request has arrived, and whether it is enough for a thread to work on.

Framing only (RFC 9112, sections 2.2, 6 and 7.1). A malformed request counts as arrived:
gunicorn's parser refuses it without waiting for more.
"""

import re
from enum import Enum, auto

from django.conf import settings

from fugata_core.limits import FIRST_PART, HUGE_BODY
from fugata_core.routes import HEALTH, LIVENESS

#: Maximum bytes of a request's head; gunicorn's own limits on lines and fields are lower.
MAX_HEAD = 64 * 1024
#: gunicorn's limit on a request line, and what it must see of a longer one to refuse it.
_MAX_REQUEST_LINE = 8190 + 4

_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*)", re.IGNORECASE
)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_PROBES = tuple(
    f"{method} {path} ".encode() for method in ("GET", "HEAD") for path in (HEALTH, LIVENESS)
)


class ArrivalState(Enum):
    """How much of a request has arrived."""

    #: Nothing, or a part of the head.
    HEAD = auto()
    #: The head, and less of the body than a thread needs.
    BODY = auto()
    #: All of it.
    WHOLE = auto()
    #: The head and the first `FIRST_PART` bytes of a larger body.
    LARGE = auto()
    #: A head over the limit.
    TOO_LONG = auto()


class Arrival:
    """The bytes of one request as they arrive, with whatever follows it on the connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.state = ArrivalState.HEAD
        #: Whether the client waits for "100 Continue" before it sends the body.
        self.expects_continue = False
        self._scanned = 0
        self._body_start = 0
        self._content_length: int | None = 0  # None: chunked

    def add(self, data: bytes) -> ArrivalState:
        """Add what was received and return how much of the request has arrived."""
        self.data += data
        if self.state is ArrivalState.HEAD:
            self.state = self._head()
        if self.state is ArrivalState.BODY:
            self.state = self._body_state()
        return self.state

    def is_probe(self) -> bool:
        """Return whether it is a whole request for the service's health."""
        return self.state is ArrivalState.WHOLE and self.data.startswith(_PROBES)

    def is_huge(self) -> bool:
        """Return whether more than HUGE_BODY bytes of its body may be kept (chunked: maybe).

        What is declared to be over MAX_BODY_SIZE is refused and thrown away, piece by piece.
        """
        return (
            self._content_length is None
            or HUGE_BODY < self._content_length <= settings.MAX_BODY_SIZE
        )

    def _head(self) -> ArrivalState:
        end = self.data.find(b"\r\n\r\n", max(self._scanned - 3, 0))
        if end >= 0 and end <= MAX_HEAD:
            self._parse_framing(end)
            return ArrivalState.BODY
        if end >= 0 or len(self.data) > MAX_HEAD:
            return ArrivalState.TOO_LONG
        return ArrivalState.WHOLE if self._is_refused() else ArrivalState.HEAD

    def _is_refused(self) -> bool:
        """Return whether gunicorn refuses the beginning of a head: a bare LF, an overlong line."""
        start, self._scanned = max(self._scanned - 1, 0), len(self.data)
        if _BARE_LF.search(self.data, start):
            return True
        return (
            len(self.data) > _MAX_REQUEST_LINE and self.data.find(b"\r\n", 2, _MAX_REQUEST_LINE) < 0
        )

    def _parse_framing(self, end: int) -> None:
        """Determine the body's length, and whether the client expects "100 Continue"."""
        fields: dict[bytes, list[bytes]] = {}
        for name, value in _FRAMING.findall(self.data[:end]):
            fields.setdefault(bytes(name).lower(), []).append(bytes(value).strip(b" \t"))
        self._body_start = self._scanned = end + 4
        self._content_length = _parse_length(fields)
        is_http_1_0 = b" HTTP/1.0\r\n" in self.data[: end + 2]
        self.expects_continue = not is_http_1_0 and [
            v.lower() for v in fields.get(b"expect", [])
        ] == [b"100-continue"]

    def _body_state(self) -> ArrivalState:
        received = len(self.data) - self._body_start
        if self._content_length is None:
            if self._chunks_ended():
                return ArrivalState.WHOLE
        elif received >= self._content_length:
            return ArrivalState.WHOLE
        return ArrivalState.LARGE if received >= FIRST_PART else ArrivalState.BODY

    def _chunks_ended(self) -> bool:
        """Return whether the last chunk has arrived, or one that gunicorn refuses."""
        while (line_end := self.data.find(b"\r\n", self._scanned)) >= 0:
            size = _chunk_size(self.data[self._scanned : line_end])
            if not size:
                return size is None or self._trailers_ended(line_end)
            following = line_end + 2 + size + 2
            if following > len(self.data):
                return False
            if self.data[following - 2 : following] != b"\r\n":
                return True
            self._scanned = following
        return False

    def _trailers_ended(self, line_end: int) -> bool:
        return self.data.find(b"\r\n\r\n", line_end) >= 0


def _parse_length(fields: dict[bytes, list[bytes]]) -> int | None:
    """Return the body's size in bytes; None for a chunked body; 0 if gunicorn refuses the head."""
    lengths = fields.get(b"content-length", [])
    coding = b",".join(fields.get(b"transfer-encoding", [])).lower()
    if coding:
        return None if b"chunked" in coding and not lengths else 0
    if len(lengths) != 1 or not lengths[0].isdigit():
        return 0
    return int(lengths[0]) if len(lengths[0]) < 19 else 2**63


def _chunk_size(line: bytes | bytearray) -> int | None:
    """Return a chunk's size in bytes; None where the line is malformed."""
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not re.fullmatch(rb"[0-9A-Fa-f]+", digits):
        return None
    return int(digits, 16)

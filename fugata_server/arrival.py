"""How much of a request has arrived, and whether that is enough for a thread to work on it.

gunicorn parses the head, once and when it is whole; `RequestBody` decodes what follows.
"""

import re
from enum import Enum, auto
from typing import Any

from django.conf import settings
from gunicorn.http import Request
from gunicorn.http.body import ChunkedReader
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.unreader import IterUnreader

from fugata_core.limits import FIRST_PART, HUGE_BODY
from fugata_core.routes import PROBES
from fugata_server.body import RequestBody, Source
from fugata_server.refusals import (
    BadHead,
    HeadTooLong,
    HostMissing,
    TargetTooLong,
    UnknownTransferCoding,
    refusal_of,
)

#: Maximum bytes of a request's head; gunicorn's own limits on lines and fields are lower.
MAX_HEAD = 64 * 1024
_MAX_REQUEST_LINE = 8190
_BARE_LF = re.compile(rb"(?<!\r)\n")


class ArrivalState(Enum):
    """How much of a request has arrived."""

    #: Nothing, or a part of the head.
    HEAD = auto()
    #: The head, and less of the body than a thread needs.
    BODY = auto()
    #: All of it, or all that will ever arrive.
    WHOLE = auto()
    #: The head and the first `FIRST_PART` bytes of a larger body, or nothing of a body whose
    #: client waits for "100 Continue".
    LARGE = auto()


class Arrival:
    """One request as its bytes arrive."""

    def __init__(self, config: Any, source: Source, peer: Any, number: int) -> None:
        """Begin request `number` of the connection that `source` receives from."""
        self._config, self._source, self._peer, self._number = config, source, peer, number
        self._head = bytearray()
        self._scanned = 0
        self.request: Any = None
        self.body: RequestBody | None = None

    def add(self, data: bytes) -> ArrivalState:
        """Add what was received and return how much has arrived. Raises FugataError."""
        if self.body is None:
            data = self._add_to_head(data)
        if self.body is not None and data:
            self.body.feed(data)
        return self.state

    @property
    def state(self) -> ArrivalState:
        """How much of the request has arrived."""
        if self.body is None:
            return ArrivalState.HEAD
        if self.body.is_whole or self.body.is_lost:
            return ArrivalState.WHOLE
        if self.body.awaits_continue or self.body.arrived >= FIRST_PART:
            return ArrivalState.LARGE
        return ArrivalState.BODY

    @property
    def size(self) -> int:
        """How many bytes of it are held in memory."""
        return len(self._head) + (self.body.arrived if self.body else 0)

    def is_probe(self) -> bool:
        """Return whether it asks for the service's health."""
        request, body = self.request, self.body
        is_bare = body is not None and body.length == 0 and request.method in ("GET", "HEAD")
        return is_bare and request.path in PROBES

    def is_huge(self) -> bool:
        """Return whether more than HUGE_BODY bytes of its body may be kept (chunked: maybe).

        What is declared to be over MAX_BODY_SIZE is refused and thrown away, piece by piece.
        """
        length = self.body.length if self.body else 0
        return length is None or HUGE_BODY < length <= settings.MAX_BODY_SIZE

    def _add_to_head(self, data: bytes) -> bytes:
        """Add to the head, and return what follows it."""
        self._head += data
        end = self._head.find(b"\r\n\r\n", max(self._scanned - 3, 0)) + 4
        if end < 4:
            self._require_promising()
            self._scanned = len(self._head)
            return b""
        if end > MAX_HEAD:
            raise HeadTooLong()
        rest = bytes(self._head[end:])
        self._parse(bytes(self._head[:end]))
        self._head.clear()
        return rest

    def _require_promising(self) -> None:
        """Raise FugataError if no end could make this the head of a request."""
        head = self._head
        if _BARE_LF.search(head, max(self._scanned - 1, 0)):
            raise BadHead()
        if len(head) > _MAX_REQUEST_LINE + 4 and head.find(b"\r\n", 2, _MAX_REQUEST_LINE + 4) < 0:
            raise TargetTooLong()
        if len(head) > MAX_HEAD:
            raise HeadTooLong()

    def _parse(self, head: bytes) -> None:
        """Have gunicorn parse the head."""
        unreader = IterUnreader([head])
        try:
            self.request = request = Request(self._config, unreader, self._peer, self._number)
        except (ParseException, NoMoreData, StopIteration) as error:
            raise refusal_of(error) from None
        if request.version >= (1, 1) and not _values(request, "HOST"):
            raise HostMissing()
        reader = request.body.reader
        length = None if isinstance(reader, ChunkedReader) else reader.length
        if length is None:
            reader.parser.close()  # not needed; it would keep the request until a collection
        if length is None and _transfer_coding(request) != "chunked":
            raise UnknownTransferCoding()
        self.body = RequestBody(self._source, length, request._expected_100_continue)
        request.body, request._expected_100_continue = self.body, False


def _transfer_coding(request: Any) -> str:
    """Return what the body is encoded with: gunicorn lets gzip pass, and undoes only the chunks."""
    return ",".join(_values(request, "TRANSFER-ENCODING")).lower()


def _values(request: Any, header: str) -> list[str]:
    return [value for name, value in request.headers if name == header]

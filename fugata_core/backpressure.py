"""A place for a large response, reserved before a share is consumed: the client may read slowly.

The server that runs the request sets `reserve`; without it there is no limit.
"""

from collections.abc import Callable
from contextvars import ContextVar

from fugata_core.errors import Overloaded

#: Bytes of content whose response the kernel buffers at once, however slow its reader is.
SENT_AT_ONCE = 16 * 1024

#: Reserves a place for the reader of this thread's response; returns False when there is none.
reserve: ContextVar[Callable[[], bool] | None] = ContextVar("reserve", default=None)


def require_place(size: int) -> None:
    """Reserve a place for a response of `size` bytes of content. Raises Overloaded."""
    hold = reserve.get()
    if size > SENT_AT_ONCE and hold is not None and not hold():
        raise Overloaded()

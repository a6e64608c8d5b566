"""Room for a large answer, asked for before a share is consumed: its reader may be slow.

The server that runs the request says whether there is room; one that says nothing has no limit.
"""

from collections.abc import Callable
from contextvars import ContextVar

from fugata_core.errors import Overloaded

#: Bytes of content whose answer a kernel takes at once, however slow its reader is.
SENT_AT_ONCE = 16 * 1024

#: Holds a place for the reader of this thread's answer; False when there is none.
reserve: ContextVar[Callable[[], bool] | None] = ContextVar("reserve", default=None)


def require_place(size: int) -> None:
    """Hold a place for an answer of `size` bytes of content. Raises Overloaded."""
    hold = reserve.get()
    if size > SENT_AT_ONCE and hold is not None and not hold():
        raise Overloaded()

"""Places for calls of key services, of which requests may make a few at a time.

A request only: commands, tasks, checks and the health probe have threads of their own, and must not
wait for those, nor take their places.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from fugata_core.limits import KEY_SERVICES, bulkhead
from vault_app.errors import KeyUnavailable
from vault_app.keys.base import KeyProvider

#: Whether this thread serves a request just now.
_serves_request: ContextVar[bool] = ContextVar("serves_request", default=False)


@contextmanager
def serving_request() -> Iterator[None]:
    """Have calls of key services need a place while the block answers a request."""
    token = _serves_request.set(True)
    try:
        yield
    finally:
        _serves_request.reset(token)


def key_place(provider: KeyProvider) -> AbstractContextManager[None]:
    """Hold a place while the block calls the provider, if that is a service and this a request.

    Entering raises Overloaded if none is free in time: at once, if the others wait for it in vain.
    """
    if provider.is_remote and _serves_request.get():
        return bulkhead(KEY_SERVICES).place(in_vain=(KeyUnavailable,))
    return nullcontext()

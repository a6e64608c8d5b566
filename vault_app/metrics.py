"""Metrics of calls to the value store and the key provider: number, failures, duration.

Labels are names of classes and methods: never a value's name, never a key's id.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram

from vault_app.errors import VaultError

CALLS = Histogram(
    "fugata_backend_call_duration_seconds",
    "Seconds that a call of the value store or the key provider took",
    ["part", "backend", "operation"],
    buckets=(0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ERRORS = Counter(
    "fugata_backend_errors",
    "Calls of the value store or the key provider that failed",
    ["part", "backend", "operation", "error"],
)
STORE, KEYS = "store", "keys"
STORE_OPERATIONS = ("put", "get", "delete", "check", "list")
KEY_OPERATIONS = ("wrap", "unwrap", "check")

B = TypeVar("B")


def instrument(backend: B, part: str, operations: Iterable[str]) -> B:
    """Return `backend` with its `operations` counted and timed from now on."""
    for operation in operations:
        if operation not in vars(backend):
            setattr(backend, operation, _instrumented(backend, part, operation))
    return backend


def _instrumented(backend: object, part: str, operation: str) -> Callable[..., Any]:
    """Return the method, instrumented; a listing is timed to its end."""
    kind = type(backend)
    labels = (part, kind.__name__, operation)
    duration = CALLS.labels(*labels)

    def listing(*args: Any, **kwargs: Any) -> Iterator[Any]:
        began = time.perf_counter()
        try:
            yield from getattr(kind, operation)(backend, *args, **kwargs)
        except Exception as error:
            _count(error, labels)
            raise
        finally:
            duration.observe(time.perf_counter() - began)

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return getattr(kind, operation)(backend, *args, **kwargs)
        except Exception as error:
            _count(error, labels)
            raise
        finally:
            duration.observe(time.perf_counter() - began)

    return listing if inspect.isgeneratorfunction(getattr(kind, operation)) else call


def _count(error: Exception, labels: tuple[str, str, str]) -> None:
    name = type(error).__name__ if isinstance(error, VaultError) else "other"
    ERRORS.labels(*labels, name).inc()

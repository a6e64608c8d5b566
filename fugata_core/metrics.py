"""Counters of events, by outcome."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from prometheus_client import Counter

from fugata_core.errors import FugataError

P = ParamSpec("P")
R = TypeVar("R")


def event_counter(name: str, text: str, kinds: Iterable[str]) -> Counter:
    """Return a counter by `event`; every kind starts at zero, so that alerts see the first one."""
    counter = Counter(name, text, ["event"])
    for kind in kinds:
        counter.labels(kind)
    return counter


def count_outcomes(counter: Counter, done: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Count each call of a function by outcome: `done`, or the outcome of its error."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                counter.labels(_outcome(error)).inc()
                raise
            counter.labels(done).inc()
            return result

        return run

    return decorate


def _outcome(error: Exception) -> str:
    match error:
        case FugataError(outcome=str(named)):
            return named
        case FugataError() if error.status < 500:
            return "refused"
    return "failed"

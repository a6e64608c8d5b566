"""What happens to shares, counted. Labels say what happened: never to which share, nor by whom."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from prometheus_client import Counter

from secrets_app.errors import FugataError, LostClaim, NotFound

P = ParamSpec("P")
R = TypeVar("R")


def events(name: str, text: str, kinds: Iterable[str]) -> Counter:
    """Return a counter by `event`, in which every kind begins at zero: alerts see the first one."""
    counter = Counter(name, text, ["event"])
    for kind in kinds:
        counter.labels(kind)
    return counter


SHARES = events(
    "fugata_shares",
    "What happened to shares; failed: by our own fault, refused: by the asker's",
    ["created", "opened", "deleted", "expired", "lost_claim", "not_found", "refused", "failed"],
)
GUESSES = events(
    "fugata_wrong_guesses",
    "Well-formed but wrong tokens; refused: after too many of one client",
    ["counted", "refused"],
)


def counted(counter: Counter, done: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Count each call of a function by what came of it: `done`, or what its error stands for."""

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
        case LostClaim():
            return "lost_claim"
        case NotFound():
            return "not_found"
        case FugataError() if error.status < 500:
            return "refused"
    return "failed"

"""Tracebacks without what a database said: that may quote what was to be stored.

PostgreSQL's errors quote the row, and a statement's parameters. What was raised from one of them,
or while it was handled, may quote it in turn. The log uses this, so nothing here loads Django.
"""

import sys
import traceback
from collections.abc import Iterator
from types import TracebackType

#: Modules whose exceptions, and those derived from them, repeat what a database said.
_DATABASES = ("psycopg", "sqlite3", "django.db.utils")
_LED_TO = "\nThat led to the following exception:\n\n"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, and all that led to it, the newest first: those it hides (`from None`)
    too, and those of a group.
    """
    seen, left = set[int](), [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [each.__context__, each.__cause__]
        left += each.exceptions if isinstance(each, BaseExceptionGroup) else []


def may_quote(error: BaseException | None) -> bool:
    """Return whether a database's error is among those that led to this one, or is this one."""
    return any(_is_databases(type(each)) for each in chain(error))


def _is_databases(kind: type[BaseException]) -> bool:
    return any(f"{base.__module__}.".startswith(f"{name}.") for base in kind.__mro__
               for name in _DATABASES)  # fmt: skip


def without_messages(error: BaseException | None) -> str:
    """Return the traceback of an exception and of all that led to it: where, and of which kind."""
    texts = [_without_message(each) for each in chain(error)]
    return _LED_TO.join(reversed(texts)).rstrip("\n")


def _without_message(error: BaseException) -> str:
    kind, places = type(error), "".join(traceback.format_tb(error.__traceback__))
    name = f"{kind.__module__}.{kind.__qualname__}"
    return f"Traceback (most recent call last):\n{places}{name}: [redacted]\n"


def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say what ended the process (a `sys.excepthook`)."""
    if may_quote(error):
        sys.stderr.write(f"{without_messages(error)}\n")
    else:
        sys.__excepthook__(kind, error, trace)

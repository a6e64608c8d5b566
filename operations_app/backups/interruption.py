"""SIGTERM ends a back-up or a restore as Ctrl-C does: it lets its hold go and deletes its draft."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vault_app.backends import remote_store

#: The exit status of a command that SIGTERM ended, as shells say it.
TERMINATED = 128 + signal.SIGTERM
_UNCHANGED = "No row was changed."
_PUT_ALREADY = (
    " It may have put values into the store that no row points to: restore once more, or let"
    " manage.py fsck --repair delete them once they are a day old (with --force, if they are more"
    " than a tenth of what is there)."
)
_AT_THE_END = (
    "That was at the very end: rows may have been replaced already. Restore once more, with"
    " --force, or see manage.py fsck."
)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block with SystemExit; by itself, it would run no `finally`."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: object) -> None:
    # A second one breaks no `finally` off: `timeout` sends two.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(TERMINATED)


@contextmanager
def interruption_said(say: Callable[[str], object]) -> Iterator[Callable[[], None]]:
    """Say what a restore leaves that Ctrl-C or SIGTERM ends in the block.

    Yields what to call before its rows are committed.
    """
    left = [_UNCHANGED + (_PUT_ALREADY if remote_store() is not None else "")]
    try:
        yield lambda: left.append(_AT_THE_END)
    except (KeyboardInterrupt, SystemExit):
        say(left[-1])
        raise

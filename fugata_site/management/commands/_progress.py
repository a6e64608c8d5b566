"""Progress at a terminal: one line that is written over; nothing where nobody watches."""

from django.core.management.base import OutputWrapper


class Progress:
    """Call it with what is counted and how far; `done` ends the line."""

    def __init__(self, stream: OutputWrapper, every: int = 100) -> None:
        self._stream, self._every, self._shown = stream, every, False

    def __call__(self, what: str, count: int) -> None:
        """Show the count, once in a while."""
        if self._stream.isatty() and count % self._every == 0:
            self._stream.write(f"\r{count} {what} …   ", ending="")
            self._shown = True

    def done(self) -> None:
        """End the line."""
        if self._shown:
            self._stream.write("")

"""What commands say on the standard error stream."""

from collections.abc import Iterable
from typing import Any, TextIO

from fugata_core.tokens import cut_secrets


class WithoutSecrets:
    """A text stream that cuts ids and tokens: an error may quote an argument, and a CI log keep it.

    The standard output is left as it is: some commands print a new token there.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` without ids and tokens."""
        self._stream.write(cut_secrets(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

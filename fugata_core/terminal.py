"""What is shown at a terminal: without what opens something, and what controls it."""

import json
from collections.abc import Iterable
from typing import Any, TextIO

from fugata_core.tokens import cut_secrets


def escaped(text: str, keep: str = "") -> str:
    """Return `text` with each character that does not print, but those of `keep`, as in JSON.

    What is in a database or an archive may be somebody else's: a terminal would obey it.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else json.dumps(c)[1:-1] for c in text)


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

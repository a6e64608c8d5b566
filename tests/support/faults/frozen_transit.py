"""A Vault that can be made to hang, and to go on."""

import threading
from typing import Any

from tests.support.servers.transit import Request, TransitServer


def _say_nothing(*_: object) -> None:
    """Whoever called has given up meanwhile."""


class FreezableTransit(TransitServer):
    """Answers as TransitServer does, and nothing while it is frozen. `hanging`: calls meanwhile."""

    def __init__(self, *keys: str) -> None:
        self._goes_on, self.hanging = threading.Event(), 0
        self._goes_on.set()
        super().__init__(*keys)
        setattr(self._server, "handle_error", _say_nothing)  # noqa: B010  # a method for mypy

    def handle(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        """Answer, once it goes on."""
        if not self._goes_on.is_set():
            self.hanging += 1
            self._goes_on.wait(60)
        return super().handle(request)

    def freeze(self) -> None:
        """Make it hang: it takes calls and answers nothing."""
        self.hanging = 0
        self._goes_on.clear()

    def thaw(self) -> None:
        """Let it go on."""
        self._goes_on.set()

    def close(self) -> None:
        """Let go of what hangs, and stop."""
        self.thaw()
        super().close()

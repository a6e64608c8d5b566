"""A beat schedule that is told to end while it is being made."""

import os
import signal
from typing import Any

from fugata_server.scheduler import Scheduler


class SignalledScheduler(Scheduler):
    """Sends SIGTERM to its own process, as a parent that ends just then would."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        super().__init__(*args, **kwargs)

"""A sign of life of the Celery worker, which listens on no port: a file whose time moves on.

`python -m fugata_server.heartbeat` is the probe: it fails where the file is older than `OLDEST`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import bootsteps

#: Seconds between two signs.
PERIOD = 10.0
#: Seconds after which a worker is given up. While a task runs there is no sign, and the longest
#: (reconciliation) takes minutes.
OLDEST = 1800.0


def _file() -> Path:
    return Path(os.environ.get("FUGATA_HOME") or "var") / "worker-heartbeat"


class Heartbeat(bootsteps.StartStopStep):
    """Touches the file for as long as the worker's loop turns and has its broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Begin, at each connection to the broker."""
        _touch()
        self.timer = consumer.timer.call_repeatedly(PERIOD, _touch)

    def stop(self, consumer: Any) -> None:
        """End, when the connection is lost or the worker ends."""
        if timer := getattr(self, "timer", None):
            timer.cancel()


def _touch() -> None:
    _file().touch()


def main() -> int:
    """Return 0 where the worker has given a sign of life lately, else 1."""
    try:
        age = time.time() - _file().stat().st_mtime
    except FileNotFoundError:
        print("the worker has given no sign of life yet", file=sys.stderr)  # noqa: T201
        return 1
    if age > OLDEST:
        print(f"the worker's last sign of life is {age:.0f} seconds old", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

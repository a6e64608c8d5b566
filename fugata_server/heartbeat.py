"""Heartbeat of the Celery worker, which listens on no port: a file that it keeps touching.

`python -m fugata_server.heartbeat` is the probe: it fails if the file is older than `MAX_AGE`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import bootsteps

#: Seconds between two heartbeats.
PERIOD = 10.0
#: Seconds after which a worker is considered dead. There is no heartbeat while a task runs, and the
#: longest (reconciliation) takes minutes.
MAX_AGE = 1800.0


def _file() -> Path:
    return Path(os.environ.get("FUGATA_HOME") or "var") / "worker-heartbeat"


class Heartbeat(bootsteps.StartStopStep):
    """Touches the file as long as the worker's loop runs and is connected to the broker."""

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
    """Return 0 if the heartbeat is recent, else 1."""
    try:
        age = time.time() - _file().stat().st_mtime
    except FileNotFoundError:
        print("the worker has given no sign of life yet", file=sys.stderr)  # noqa: T201
        return 1
    if age > MAX_AGE:
        print(f"the worker's last sign of life is {age:.0f} seconds old", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Heartbeat of the Celery worker, which listens on no port: a file that it keeps touching.

`python -m fugata_server.heartbeat` is the probe: it fails if the file is older than `MAX_AGE`. It
runs often, and so imports as little as that takes.
"""

import os
import sys
import time
from pathlib import Path

#: Seconds after which a worker is considered dead. There is no heartbeat while a task runs, and the
#: longest (reconciliation) takes minutes.
MAX_AGE = 1800.0


def _file() -> Path:
    return Path(os.environ.get("FUGATA_HOME") or "var") / "worker-heartbeat"


def touch() -> None:
    """Give a sign of life."""
    descriptor = os.open(_file(), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.utime(descriptor)
    os.close(descriptor)


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

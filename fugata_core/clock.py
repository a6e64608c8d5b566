"""The time, by the database's clock, so that all processes agree on when a share expires.

Reading it costs a query, so it is read every few seconds and advanced by a monotonic clock, which
no administrator can set. On SQLite the database's clock is this machine's.
"""

import math
import time
from datetime import UTC, datetime, timedelta

from django.db import connection

#: Seconds for which a reading of the database's clock is used.
READ_INTERVAL = 5.0


def _steady() -> float:
    """Return seconds on a monotonic clock that, where the system has one, counts sleep too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class DatabaseClock:
    """The database's time, read again after `READ_INTERVAL` seconds."""

    def __init__(self) -> None:
        self._reading: tuple[float, float] | None = None  # (steady, Unix) seconds

    def now(self) -> float:
        """Return Unix seconds."""
        if connection.vendor != "postgresql":
            return time.time()
        reading = self._reading
        if reading is None or _steady() - reading[0] > READ_INTERVAL:
            reading = self._read()
        return reading[1] + _steady() - reading[0]

    def _read(self) -> tuple[float, float]:
        asked_at = _steady()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            self._reading = (asked_at, float(cursor.fetchone()[0]))
        return self._reading


clock = DatabaseClock()


def now() -> datetime:
    """Return the database's time."""
    return datetime.fromtimestamp(clock.now(), UTC)


def expiry(duration: timedelta) -> datetime:
    """Return the moment `duration` from now, rounded up to whole seconds, in UTC."""
    return datetime.fromtimestamp(math.ceil(clock.now() + duration.total_seconds()), UTC)


def iso(moment: datetime) -> str:
    """Return a moment as the APIs write it: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

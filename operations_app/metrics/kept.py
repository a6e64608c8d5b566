"""What is kept, and how far behind the purge is: asked of the database, in a thread of its own.

A scrape never waits for a database that hangs, and scrapes cost it at most a twentieth of its
time, however large the tables are.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Min, Sum
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fugata_core.clock import clock
from fugata_core.errors import let_go
from repositories_app.models import RepositorySecret
from secrets_app.models import Share

#: Seconds for which a measurement is good at least; a slow one is good for longer.
FRESH = 15.0
#: Seconds after which one is no longer shown: no figure is better than a wrong one.
OLDEST = 600.0
#: Seconds that a scrape waits for a new one.
WAIT = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows, bytes of content, and seconds for which the oldest expired share waits."""

    shares: int
    share_bytes: int
    expired: int
    purge_lag: float
    secrets: int
    secret_bytes: int


def measure() -> Kept:
    """Ask the database."""
    shares = Share.objects.aggregate(rows=Count("pk"), bytes=Sum("size"))
    expired = Share.objects.expired().aggregate(rows=Count("pk"), oldest=Min("expires_at"))
    secrets = RepositorySecret.objects.aggregate(rows=Count("pk"), bytes=Sum("size"))
    oldest = expired["oldest"]
    return Kept(
        shares=shares["rows"],
        share_bytes=shares["bytes"] or 0,
        expired=expired["rows"],
        purge_lag=max(clock.now() - oldest.timestamp(), 0.0) if oldest else 0.0,
        secrets=secrets["rows"],
        secret_bytes=secrets["bytes"] or 0,
    )


class KeptCollector(Collector):
    """Gives the newest measurement, and sees to the next one."""

    def __init__(self) -> None:
        self._newest: tuple[Kept, float] | None = None  # and when
        self._due = 0.0
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def collect(self) -> Iterator[Metric]:
        """Yield the figures that are not too old. Takes `WAIT` seconds at most."""
        self._renew()
        if self._newest and time.monotonic() - self._newest[1] < OLDEST:
            yield from _metrics(self._newest[0])

    def describe(self) -> Iterator[Metric]:
        """Yield the same without figures, so that nobody measures in order to register."""
        yield from _metrics(Kept(0, 0, 0, 0.0, 0, 0))

    def _renew(self) -> None:
        with self._lock:
            if self._idle.is_set() and time.monotonic() >= self._due:
                self._idle.clear()
                threading.Thread(target=self._measure, name="kept", daemon=True).start()
        self._idle.wait(WAIT)

    def _measure(self) -> None:
        began = time.monotonic()
        try:
            self._newest = (measure(), began)
        except Exception as error:  # whatever a database that is down raises
            logger.warning("metrics: what is kept was not counted: %s", type(error).__name__)
            let_go(error)
        finally:
            connection.close()
            now = time.monotonic()
            self._due = now + max(FRESH, 20 * (now - began))
            self._idle.set()


def _metrics(kept: Kept) -> Iterator[Metric]:
    rows = GaugeMetricFamily("fugata_kept_rows", "Rows in the database", labels=["kind"])
    rows.add_metric(["share"], kept.shares)
    rows.add_metric(["expired_share"], kept.expired)
    rows.add_metric(["repository_secret"], kept.secrets)
    size = GaugeMetricFamily("fugata_kept_bytes", "Bytes of content kept", labels=["kind"])
    size.add_metric(["share"], kept.share_bytes)
    size.add_metric(["repository_secret"], kept.secret_bytes)
    lag = "Seconds for which the oldest expired share waits to be purged"
    yield from (rows, size, GaugeMetricFamily("fugata_purge_lag_seconds", lag, kept.purge_lag))


kept = KeptCollector()

"""Measures what is kept and how far behind the tasks are, in a thread of its own.

A database that hangs delays a scrape by SCRAPE_TIMEOUT seconds at most, and scrapes take at most a
twentieth of its time, however large the tables are.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fugata_core.database_failures import clear_frames
from operations_app import statistics
from operations_app.statistics import Backlog
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from vault_app import leftovers
from vault_app.totals import Total, total

#: Seconds for which a measurement is reused at least; a slow one is reused for longer.
REUSED_FOR = 15.0
#: Seconds after which one is no longer exposed: no figure is better than a wrong one.
MAX_AGE = 600.0
#: Seconds that a scrape waits for a new one.
SCRAPE_TIMEOUT = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measurement:
    """All shares, those that wait for the purge, repositories' secrets, and tasks' successes.

    `leftovers`: values whose rows are gone, and that are not deleted yet.
    """

    all_shares: Total
    backlog: Backlog
    secrets: Total
    leftovers: int
    successes: dict[str, datetime]


#: What `describe` yields, without measuring anything.
NOTHING = Measurement(Total(0, 0), Backlog(0, timedelta()), Total(0, 0), 0, {})


def measure() -> Measurement:
    """Return a new measurement, from the database."""
    return Measurement(
        all_shares=total(Share.objects.all()),
        backlog=statistics.backlog(most=None),
        secrets=total(RepositorySecret.objects.all()),
        leftovers=leftovers.waiting().count(),
        successes=statistics.last_successes(),
    )


class TotalsCollector(Collector):
    """Exposes the newest measurement, and starts the next one."""

    def __init__(self) -> None:
        self._newest: tuple[Measurement, float] | None = None  # with its time
        self._due = 0.0
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def collect(self) -> Iterator[Metric]:
        """Yield the figures that are not too old. Takes `SCRAPE_TIMEOUT` seconds at most."""
        self._renew()
        if self._newest and time.monotonic() - self._newest[1] < MAX_AGE:
            yield from _metrics(self._newest[0])

    def describe(self) -> Iterator[Metric]:
        """Yield the same metrics, all zero, so that registering needs no measurement."""
        yield from _metrics(NOTHING)

    def _renew(self) -> None:
        with self._lock:
            if self._idle.is_set() and time.monotonic() >= self._due:
                self._idle.clear()
                threading.Thread(target=self._measure, name="totals", daemon=True).start()
        self._idle.wait(SCRAPE_TIMEOUT)

    def _measure(self) -> None:
        began = time.monotonic()
        try:
            self._newest = (measure(), began)
        except Exception as error:  # a database that is down may raise anything
            logger.warning("metrics: what is kept was not counted: %s", type(error).__name__)
            clear_frames(error)
        finally:
            connection.close()
            now = time.monotonic()
            self._due = now + max(REUSED_FOR, 20 * (now - began))
            self._idle.set()


def _metrics(found: Measurement) -> Iterator[Metric]:
    rows = GaugeMetricFamily("fugata_kept_rows", "Rows in the database", labels=["kind"])
    rows.add_metric(["share"], found.all_shares.rows)
    rows.add_metric(["expired_share"], found.backlog.waiting)
    rows.add_metric(["repository_secret"], found.secrets.rows)
    rows.add_metric(["leftover"], found.leftovers)
    size = GaugeMetricFamily("fugata_kept_bytes", "Bytes of content kept", labels=["kind"])
    size.add_metric(["share"], found.all_shares.size)
    size.add_metric(["repository_secret"], found.secrets.size)
    lag = "Seconds for which the oldest expired share waits to be purged"
    behind = found.backlog.lag.total_seconds()
    yield from (rows, size, GaugeMetricFamily("fugata_purge_lag_seconds", lag, behind))
    yield _successes(found.successes)


def _successes(found: dict[str, datetime]) -> Metric:
    """Return the same whether or not a worker ever ran to be scraped."""
    text = "Unix time at which a periodic task last came to its end (of the installation: never)"
    name = "fugata_task_last_success_timestamp_seconds"
    family = GaugeMetricFamily(name, text, labels=["task"])
    for task, at in found.items():
        family.add_metric([task], at.timestamp())
    return family


totals = TotalsCollector()

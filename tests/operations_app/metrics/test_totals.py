"""What is kept is counted beside the scrapes: they never wait for it, and never lie."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.db.models.functions import Now

from audit_app.actors import SERVICE
from operations_app import statistics
from operations_app.metrics import totals as module
from operations_app.metrics.totals import NOTHING, Measurement, TotalsCollector, measure
from operations_app.statistics import Backlog
from secrets_app.actions.create import Draft, create_share
from secrets_app.models import Share
from tests.support.in_process.fixtures import Clock
from tests.support.servers.parts import wait_until
from vault_app.models import KeyEncryptionKey
from vault_app.totals import Total

PURGED = datetime(2026, 1, 1, tzinfo=UTC)
MEASURED = Measurement(
    Total(3, 300), Backlog(1, timedelta(seconds=60)), Total(2, 20), 4, {"purge_expired": PURGED}
)


def samples(collector: TotalsCollector) -> dict[str, float]:
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


@pytest.fixture(autouse=True)
def time_by_hand(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", clock)


class Database:
    """Stands in for what `measure` asks: it may fail, or hang until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.failing = False
        self.go = threading.Event()
        self.go.set()

    def __call__(self) -> Measurement:
        self.asked += 1
        self.go.wait(60)
        if self.failing:
            raise OperationalError("injected")
        return MEASURED


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    double = Database()
    monkeypatch.setattr(module, "measure", double)
    yield double
    double.go.set()


def test_what_is_said(database: Database) -> None:
    assert samples(TotalsCollector()) == {
        "fugata_kept_rows/share": 3,
        "fugata_kept_rows/expired_share": 1,
        "fugata_kept_rows/repository_secret": 2,
        "fugata_kept_rows/leftover": 4,
        "fugata_kept_bytes/share": 300,
        "fugata_kept_bytes/repository_secret": 20,
        "fugata_purge_lag_seconds": 60,
        "fugata_task_last_success_timestamp_seconds/purge_expired": PURGED.timestamp(),
    }


def test_scrapes_cost_the_database_little(database: Database, clock: Clock) -> None:
    collector = TotalsCollector()
    for _ in range(5):
        samples(collector)
    assert database.asked == 1
    clock.move(module.REUSED_FOR + 1)
    samples(collector)
    assert database.asked == 2


def test_a_database_that_hangs_holds_up_nobody(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCRAPE_TIMEOUT", 0.01)
    collector = TotalsCollector()
    database.go.clear()
    assert samples(collector) == {}
    assert samples(collector) == {}
    assert database.asked == 1, "one thread waits, however many scrapes there are"
    database.go.set()
    wait_until(lambda: samples(collector) != {}, "the figures")


def test_no_figure_is_better_than_an_old_one(database: Database, clock: Clock) -> None:
    collector = TotalsCollector()
    assert samples(collector)
    database.failing = True
    clock.move(module.REUSED_FOR + 1)
    assert samples(collector), "not old yet"
    clock.move(module.MAX_AGE)
    assert samples(collector) == {}


@pytest.mark.django_db
def test_measuring() -> None:
    assert measure() == replace(NOTHING, successes=statistics.last_successes())
    for content in ("12345", "ü"):
        create_share(Draft(content, "1h"), SERVICE)
    Share.objects.filter(size=2).update(expires_at=Now() - timedelta(minutes=10))
    found = measure()
    assert (found.all_shares, found.backlog.waiting) == (Total(2, 7), 1)
    assert timedelta(seconds=590) < found.backlog.lag < timedelta(seconds=700)


@pytest.mark.django_db
def test_a_worker_that_never_came_up_is_seen() -> None:
    """The time of the installation stands for it, so that the alert comes after a grace."""
    KeyEncryptionKey.objects.update(created_at=PURGED)
    assert set(measure().successes) == set(statistics.periodic_tasks())
    assert set(measure().successes.values()) == {PURGED}
    statistics.record_success("purge_expired")
    assert measure().successes["purge_expired"] > PURGED
    assert measure().successes["count_hours"] == PURGED

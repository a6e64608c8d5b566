"""What charts show: events counted by the hour, once, however often and late they are counted."""

from datetime import UTC, datetime, timedelta

import pytest

from audit_app.models import AuditEvent
from operations_app import statistics
from operations_app.models import HourlyCount, TaskSuccess
from operations_app.statistics import DAY, HOUR
from operations_app.tasks import count_hours
from secrets_app.models import Share
from secrets_app.tasks import purge_expired
from tests.secrets_app.support import expire, share
from vault_app.totals import Total, total

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 20, 14, 30, tzinfo=UTC)
THIS_HOUR = NOW.replace(minute=0)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The time is the last moment of this list."""
    moments = [NOW]
    monkeypatch.setattr(statistics, "now", lambda: moments[-1])
    return moments


def happens(at: datetime, kind: str = "created", times: int = 1) -> None:
    AuditEvent.objects.bulk_create(
        AuditEvent(kind=kind, at=at, request_id="r") for _ in range(times)
    )


def counted() -> dict[tuple[datetime, str], int]:
    rows = HourlyCount.objects.values_list("hour", "kind", "count")
    return {(hour, kind): count for hour, kind, count in rows}


def test_full_hours_are_counted_once() -> None:
    happens(THIS_HOUR - timedelta(minutes=1), times=2)
    happens(THIS_HOUR - HOUR, "opened")
    happens(THIS_HOUR - 5 * HOUR)
    happens(NOW)
    expected = {
        (THIS_HOUR - HOUR, "created"): 2,
        (THIS_HOUR - HOUR, "opened"): 1,
        (THIS_HOUR - 5 * HOUR, "created"): 1,
    }
    assert statistics.count_hours() == 2
    assert counted() == expected
    statistics.count_hours()
    assert counted() == expected


def test_what_is_committed_late_is_counted_too(clock: list[datetime]) -> None:
    happens(THIS_HOUR - timedelta(minutes=1))
    statistics.count_hours()
    happens(THIS_HOUR - timedelta(minutes=2))
    clock.append(NOW + HOUR)
    statistics.count_hours()
    assert counted()[(THIS_HOUR - HOUR, "created")] == 2


def test_old_counts_are_forgotten(clock: list[datetime]) -> None:
    happens(THIS_HOUR - HOUR)
    statistics.count_hours()
    clock.append(NOW + 32 * DAY)
    statistics.count_hours()
    assert counted() == {}


@pytest.mark.parametrize("counting", [False, True], ids=["from the trail", "from the counts"])
def test_the_same_numbers_either_way(counting: bool) -> None:
    happens(THIS_HOUR - 3 * HOUR, times=3)
    happens(NOW, "opened")
    if counting:
        statistics.count_hours()
    found = statistics.hourly(THIS_HOUR - DAY)
    assert found == {THIS_HOUR - 3 * HOUR: {"created": 3}, THIS_HOUR: {"opened": 1}}


def test_numbers_outlive_the_trail() -> None:
    happens(THIS_HOUR - 3 * HOUR, times=3)
    statistics.count_hours()
    AuditEvent.objects.all().delete()
    assert statistics.hourly(THIS_HOUR - DAY)[THIS_HOUR - 3 * HOUR] == {"created": 3}


def test_the_trail_is_read_for_two_days_at_most() -> None:
    happens(THIS_HOUR - 3 * DAY)
    happens(THIS_HOUR - DAY)
    assert set(statistics.hourly(THIS_HOUR - 20 * DAY)) == {THIS_HOUR - DAY}


def test_days_are_of_utc() -> None:
    midnight = NOW.replace(hour=0, minute=0)
    happens(midnight)
    happens(midnight - timedelta(seconds=1), times=2)
    days = statistics.daily(statistics.hourly(midnight - DAY))
    assert days[midnight] == {"created": 1}
    assert days[midnight - DAY] == {"created": 2}


def test_what_is_kept(clock: list[datetime]) -> None:
    share("four")
    share("seven..")
    expired = share("gone")
    expire(expired)
    assert total(Share.objects.live()) == Total(2, 11)


def test_the_backlog(clock: list[datetime]) -> None:
    assert statistics.backlog() == statistics.Backlog(0, timedelta())
    expired = share()
    expire(expired)
    clock.append(datetime.now(UTC) + timedelta(minutes=10))
    behind = statistics.backlog()
    assert behind.waiting == 1
    assert behind.lag > timedelta(minutes=9)


def test_tasks_leave_a_heartbeat(clock: list[datetime]) -> None:
    purge_expired.apply()
    count_hours.apply()
    statistics.record_success("of_another_application")  # which beat does not send
    clock.append(NOW + HOUR)
    purge_expired.apply()
    assert statistics.last_success("count_hours") == NOW
    assert statistics.last_success("purge_expired") == NOW + HOUR
    assert TaskSuccess.objects.count() == 2

"""Figures for operators, each from a bounded query.

Recent events are counted by the hour into `HourlyCount`; charts read those rows, and the trail
itself only for the hours that are not counted yet.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Min, Sum
from django.db.models.functions import TruncHour

from audit_app.models import AuditEvent
from fugata_core.clock import now
from operations_app.models import HourlyCount, TaskSuccess
from secrets_app.models import Share
from vault_app.models import KeyEncryptionKey

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
#: How far back counts go.
RETENTION = 30 * DAY
#: An event may be committed this long after its timestamp, so this many hours are recounted.
RECOUNT_WINDOW = 2 * HOUR
#: At most this many rows are counted where there may be any number.
MAX_COUNTED = 100_000

#: The tasks whose success the diagnosis asks for: `last_success`.
PURGE_TASK, COUNT_TASK = "purge_expired", "count_hours"

Counts = dict[datetime, dict[str, int]]


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour that contains `moment`."""
    return moment.replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    """Return the start of the UTC day that contains `moment`."""
    return hour_of(moment).replace(hour=0)


def count_hours() -> int:
    """Count the full hours whose counts are not final yet; return how many those were.

    Idempotent: recounting an hour replaces its counts.
    """
    counted = 0
    end = hour_of(now())
    hour = _uncounted_from(end)
    while hour is not None and hour < end:
        _count_hour(hour)
        counted += 1
        hour = _next_busy_hour(hour + HOUR)
    HourlyCount.objects.filter(hour__lt=end - RETENTION - DAY).delete()
    return counted


def _uncounted_from(end: datetime) -> datetime | None:
    newest = HourlyCount.objects.order_by("-hour").values_list("hour", flat=True).first()
    if newest is not None:
        return min(newest + HOUR, end) - RECOUNT_WINDOW
    return _next_busy_hour(end - RETENTION)


def _next_busy_hour(start: datetime) -> datetime | None:
    """Return the first hour from `start` on in which anything happened."""
    first = AuditEvent.objects.filter(at__gte=start).order_by("at").values_list("at", flat=True)
    moment = first.first()
    return hour_of(moment) if moment else None


def _count_hour(hour: datetime) -> None:
    found = _counted_events(hour, hour + HOUR).get(hour, {})
    rows = [HourlyCount(hour=hour, kind=kind, count=number) for kind, number in found.items()]
    HourlyCount.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["hour", "kind"], update_fields=["count"]
    )


def _counted_events(start: datetime, end: datetime) -> Counts:
    events = AuditEvent.objects.filter(at__gte=start, at__lt=end).order_by()
    rows = events.annotate(hour=TruncHour("at", tzinfo=UTC)).values_list("hour", "kind")
    return _by_hour(rows.annotate(number=Sum("count")))


def _by_hour(rows: models.QuerySet[models.Model, tuple[datetime, str, int]]) -> Counts:
    counts: Counts = defaultdict(dict)
    for hour, kind, number in rows:
        counts[hour][kind] = number
    return counts


def hourly(start: datetime) -> Counts:
    """Return what happened in each hour since `start` (a full hour within the last 30 days).

    The trail is read for at most two days that are not counted yet: if there are more, beat is
    not running, which the health page says.
    """
    rows = HourlyCount.objects.filter(hour__gte=start).values_list("hour", "kind", "count")
    counts = _by_hour(rows)
    newest = max(counts, default=start - HOUR)
    fresh_from = max(newest - RECOUNT_WINDOW + HOUR, start, hour_of(now()) - 2 * DAY)
    return {**counts, **_counted_events(fresh_from, now() + DAY)}


def daily(hours: Mapping[datetime, Mapping[str, int]]) -> Counts:
    """Return hourly counts, added up by UTC day."""
    days: Counts = defaultdict(lambda: defaultdict(int))
    for hour, kinds in hours.items():
        for kind, number in kinds.items():
            days[day_of(hour)][kind] += number
    return days


@dataclass(frozen=True, slots=True)
class Backlog:
    """Expired shares that wait for the purge, and for how long the oldest has."""

    waiting: int
    lag: timedelta


def backlog(most: int | None = MAX_COUNTED) -> Backlog:
    """Return how far behind the purge is, counting at most `most` shares (None: all)."""
    expired = Share.objects.expired()
    oldest = expired.aggregate(oldest=Min("expires_at"))["oldest"]
    lag = now() - oldest if oldest else timedelta()
    return Backlog(expired[:most].count(), max(lag, timedelta()))


def installed_at() -> datetime | None:
    """Return when the database got its first key, which is when it was first used."""
    first: datetime | None = KeyEncryptionKey.objects.aggregate(at=Min("created_at"))["at"]
    return first


def periodic_tasks() -> list[str]:
    """Return the names of the tasks that beat sends."""
    return [each["task"].rpartition(".")[2] for each in settings.CELERY_BEAT_SCHEDULE.values()]


def record_success(task: str) -> None:
    """Record that a task has just succeeded, if it is one of the periodic tasks."""
    if task in periodic_tasks():
        TaskSuccess.objects.update_or_create(task=task, defaults={"at": now()})


def last_success(task: str) -> datetime | None:
    """Return when a periodic task last succeeded."""
    return TaskSuccess.objects.filter(task=task).values_list("at", flat=True).first()


def last_successes() -> dict[str, datetime]:
    """Return the same for each periodic task; when Fugata was installed, if it never did."""
    installed = installed_at()
    never = dict.fromkeys(periodic_tasks(), installed) if installed else {}
    return never | dict(TaskSuccess.objects.values_list("task", "at"))

"""What an operator looks at first, as numbers and charts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache

from audit_app.models import AuditEvent
from fugata_core.clock import now
from operations_app import statistics
from operations_app.console.charts import Chart, bar_chart
from operations_app.statistics import DAY, HOUR, Backlog, Counts
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from vault_app.totals import Total, total

Kind = AuditEvent.Kind
#: The charts, in their order: kind of event and heading. A refusal is a wrong token or password, or
#: an access token used beyond its rights.
SHOWN = {
    Kind.CREATED: "Created",
    Kind.OPENED: "Opened",
    Kind.EXPIRED: "Expired",
    Kind.DELETED: "Deleted",
    Kind.REFUSED: "Failed guesses",
}
#: Seconds for which totals of whole tables are cached.
CACHED_FOR = 30
#: The most that a database counts to.
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table behind the charts: an hour or a day, and its numbers."""

    label: str
    values: list[int]


@dataclass(frozen=True, slots=True)
class Span:
    """The charts of a span of time, and the same as a table."""

    title: str
    unit: str
    charts: list[Chart]

    @property
    def headings(self) -> list[str]:
        """The headings of the table's columns."""
        return [chart.title for chart in self.charts]

    @property
    def rows(self) -> list[Row]:
        """The table's lines, the newest first."""
        columns = [chart.bars for chart in self.charts]
        lines = [
            Row(bars[0].label, [bar.value for bar in bars]) for bars in zip(*columns, strict=True)
        ]
        return lines[::-1]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All that the page shows; `opened`, `refused`: in the last 24 hours."""

    live_shares: Total
    secrets: Total
    backlog: Backlog
    opened: int
    refused: int
    spans: list[Span]

    @property
    def lag(self) -> str:
        """For how long the oldest expired share has waited for the purge, in the largest unit."""
        seconds = int(self.backlog.lag.total_seconds())
        units = ((86400, "d"), (3600, "h"), (60, "min"))
        found = next(((size, unit) for size, unit in units if seconds >= 2 * size), (1, "s"))
        return f"{seconds // found[0]} {found[1]}"

    @property
    def size(self) -> int:
        """Bytes of content that are kept, of shares and repositories."""
        return self.live_shares.size + self.secrets.size


def dashboard() -> Dashboard:
    """Return what is kept and what happened, from bounded queries."""
    today = statistics.day_of(now())
    hours = statistics.hourly(today - 29 * DAY)
    last_day = _span("Last 24 hours", "Hour", hours, _hours(), "%H:%M")
    last_month = _span("Last 30 days", "Day", statistics.daily(hours), _days(today), "%-d %b")
    totals = {chart.name: chart.total for chart in last_day.charts}
    return Dashboard(
        live_shares=_cached("shares", lambda: total(Share.objects.live())),
        secrets=_cached("secrets", lambda: total(RepositorySecret.objects.all())),
        backlog=statistics.backlog(),
        opened=totals[Kind.OPENED],
        refused=totals[Kind.REFUSED],
        spans=[last_day, last_month],
    )


def _hours() -> list[datetime]:
    first = statistics.hour_of(now()) - 23 * HOUR
    return [first + number * HOUR for number in range(24)]


def _days(today: datetime) -> list[datetime]:
    return [today - timedelta(days=ago) for ago in reversed(range(30))]


def _span(title: str, unit: str, counts: Counts, moments: Sequence[datetime], written: str) -> Span:
    labels = [moment.strftime(written) for moment in moments]
    none: Mapping[str, int] = {}
    charts = [
        bar_chart(kind, heading, labels, [counts.get(at, none).get(kind, 0) for at in moments])
        for kind, heading in SHOWN.items()
    ]
    return Span(title, unit, charts)


def _cached(name: str, count: Callable[[], Total]) -> Total:
    """Return totals, cached: they read each row of a table, so at most twice a minute."""
    key = f"dashboard:{name}"
    try:
        kept = _kept(cache.get(key))
        if kept is None:
            kept = count()
            cache.set(key, [kept.rows, kept.size], CACHED_FOR)
        return kept
    except Exception:  # Redis is down, which is when an operator looks
        return count()


def _kept(found: object) -> Total | None:
    """Return the totals that the cache has; None if it has none, or what no page could show."""
    match found:
        case [int(rows), int(size)] if 0 <= rows <= _MOST and 0 <= size <= _MOST:
            return Total(rows, size)
    return None

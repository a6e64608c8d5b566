"""The dashboard: numbers that are right, in charts that can be read without seeing them."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit_app.models import AuditEvent
from fugata_core.clock import clock
from operations_app import statistics
from operations_app.console.charts import HEIGHT, WIDTH, bar_chart
from operations_app.console.dashboard import dashboard
from operations_app.statistics import Backlog
from tests.secrets_app.support import expire, share
from tests.support.clients.operators import Admin, person, text

pytestmark = pytest.mark.django_db


def happens(kind: str, times: int = 1, **ago: float) -> None:
    at = datetime.now(UTC) - timedelta(**ago)
    AuditEvent.objects.bulk_create(
        AuditEvent(kind=kind, at=at, request_id="r") for _ in range(times)
    )


def test_numbers() -> None:
    share("four")
    expire(share("gone"))
    happens("opened", 3, hours=2)
    happens("refused", 2, hours=3)
    happens("opened", 5, days=3)
    statistics.count_hours()
    shown = dashboard()
    assert (shown.live_shares.rows, shown.size) == (1, 4)
    assert (shown.opened, shown.refused) == (3, 2)
    assert shown.backlog.waiting == 1
    day, month = shown.spans
    assert {chart.title: chart.total for chart in day.charts} == {
        "Created": 2,
        "Opened": 3,
        "Expired": 0,
        "Deleted": 0,
        "Failed guesses": 2,
    }
    assert [chart.total for chart in month.charts][1] == 8
    assert (len(day.rows), len(month.rows)) == (24, 30)
    assert day.rows[0].values == [2, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0 s"), (119.9, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (3e5, "3 d")],
)
def test_the_lag_is_written_for_people(seconds: float, written: str) -> None:
    behind = Backlog(1, timedelta(seconds=seconds))
    assert replace(dashboard(), backlog=behind).lag == written


def test_totals_are_taken_once_in_a_while() -> None:
    share()
    dashboard()
    with CaptureQueriesContext(connection) as queries:
        dashboard()
    totals = [one for one in queries.captured_queries if '"size"' in one["sql"]]
    assert totals == []
    cache.clear()


@pytest.mark.parametrize(
    "kept",
    [None, 7, "7", [], [1], [1, 2, 3], {"rows": 1, "size": 2}, [-1, 0], [0.5, 1], [1, 10**400]],
)
def test_what_no_page_could_show_is_counted_anew(kept: object) -> None:
    share("four")
    cache.set("dashboard:shares", kept)
    assert (dashboard().live_shares.rows, dashboard().live_shares.size) == (1, 4)
    assert cache.get("dashboard:shares") == [1, 4]
    cache.clear()


def test_the_number_of_queries_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is one more query every few seconds on PostgreSQL: here it stands still."""
    stopped = clock.now()
    monkeypatch.setattr(clock, "now", lambda: stopped)
    counts = []
    for _ in range(2):
        for _ in range(5):
            share()
            happens("opened", hours=30)
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            dashboard()
        counts.append(len(queries))
    assert counts[0] == counts[1] < 15


def test_a_dashboard_whose_cache_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(cache, "get", down)
    share("four")
    assert dashboard().live_shares.rows == 1


def test_charts_say_the_same_in_words_and_as_a_table() -> None:
    happens("opened", 3, hours=2)
    page = text(Admin(person("ada", "auditor")).get(""))
    assert page.count('role="img"') == 10
    assert re.search(
        r'aria-label="Opened: 3 from \d\d:00 to \d\d:00, at most 3 \(\d\d:00\)\."', page
    )
    assert 'aria-label="Deleted: none from' in page
    assert page.count('<th scope="row">') == 54
    assert "style=" not in page
    assert "<script>" not in page
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_bars() -> None:
    chart = bar_chart("opened", "Opened", ["a", "b", "c", "d"], [0, 1, 1000, 500])
    heights = [float(bar.height) for bar in chart.bars]
    assert heights[0] == 0
    assert 0 < heights[1] < heights[3] < heights[2] == HEIGHT
    for bar in chart.bars:
        assert float(bar.y) + float(bar.height) == HEIGHT
        assert 0 <= float(bar.x) <= float(bar.x) + float(bar.width) <= WIDTH
    assert bar_chart("none", "None", [], []).summary.startswith("None: none")


def test_purge_now() -> None:
    expire(share())
    olga = Admin(person("olga", "operator"))
    assert "Purge now" in text(olga.get(""))
    page = text(olga.client.post("/admin/purge/", follow=True))
    assert "1 expired shares were purged" in page
    assert olga.get("purge/").status_code == 405
    assert AuditEvent.objects.get(kind="purged").username == "olga"

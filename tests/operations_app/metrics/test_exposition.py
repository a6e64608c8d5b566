"""What the processes of one service counted, read while they come and go."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from pytest_django.fixtures import Settings

from operations_app.metrics.exposition import ProcessesCollector
from operations_app.metrics.listener import application


def _counted(file: Path) -> None:
    values: Any = MmapedDict(str(file))  # type: ignore[no-untyped-call]
    values.write_value(mmap_key("shares", "shares_total", [], [], "Shares"), 3.0, 0.0)
    values.close()


@pytest.mark.parametrize("name", ["counter_7.db", "gauge_livesum_7.db"])
def test_a_process_that_is_starting_has_counted_nothing(tmp_path: Path, name: str) -> None:
    _counted(tmp_path / "counter_8.db")
    (tmp_path / name).touch()
    (tmp_path / "gauge_liveall_9.db").symlink_to("one that ended")
    (shares,) = ProcessesCollector(str(tmp_path)).collect()
    assert [sample.value for sample in shares.samples] == [3.0]


def _asked_from(address: str, authorization: str) -> str:
    """Ask METRICS_PORT from an address and return the status."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/metrics",
        "REMOTE_ADDR": address,
        "HTTP_AUTHORIZATION": authorization,
    }
    statuses: list[str] = []
    list(application(environ, lambda status, headers: statuses.append(status)))  # type: ignore[arg-type]
    return statuses[0][:3]


def test_guesses_count_by_network(settings: Settings) -> None:
    """An IPv6 network has more addresses than there are guesses."""
    settings.METRICS_TOKEN = "a-token-of-the-scraper"
    statuses = [_asked_from(f"2001:db8::{number:x}", "Bearer no") for number in range(1, 33)]
    assert statuses == ["401"] * 30 + ["429"] * 2
    assert _asked_from("2001:db8:0:1::1", "Bearer no") == "401"

"""What the processes of one service counted, read while they come and go."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from operations_app.metrics.exposition import ProcessesCollector


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

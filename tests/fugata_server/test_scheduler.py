"""What beat remembers: when it sent each task, in a file that is whole, and that runs nothing."""

import json
import logging
import os
import pickle
import shelve
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from fugata_server.scheduler import Scheduler
from fugata_site.celery import app

HOURLY = "reconcile-values"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "beat-schedule.json"


def scheduler(file: Path) -> Scheduler:
    return Scheduler(app, schedule_filename=str(file))


def due_in(made: Scheduler) -> float:
    """Return in how many seconds the hourly task is due."""
    entry = made.schedule[HOURLY]
    is_due, seconds = entry.is_due()
    return 0.0 if is_due else float(seconds)


def kept(file: Path) -> Any:
    return json.loads(file.read_text())


def test_a_first_start(file: Path) -> None:
    assert 3500 < due_in(scheduler(file)) <= 3600
    assert set(kept(file)) == set(app.conf.beat_schedule)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_restart_puts_off_what_is_due_each_hour(file: Path) -> None:
    scheduler(file)
    file.write_text(json.dumps(kept(file) | {HOURLY: time.time() - 3000}))
    for _ in range(3):
        again = scheduler(file)
        assert due_in(again) < 700
        again.close()
    file.write_text(json.dumps(kept(file) | {HOURLY: time.time() - 4000}))
    assert due_in(scheduler(file)) == 0


def test_what_is_sent_is_remembered(file: Path) -> None:
    file.write_text(json.dumps({HOURLY: time.time() - 4000}))
    made = scheduler(file)
    made.reserve(made.schedule[HOURLY])
    made.close()
    assert due_in(scheduler(file)) > 3500


@pytest.mark.parametrize(
    "found",
    [
        *(b"", b"\xff", b"[]", b"5", b"[" * 100_000, pickle.dumps({HOURLY: 1.0})),
        *(b'{"reconcile-values": ' + at + b"}" for at in (b"null", b'"a"', b"NaN", b"-1")),
        *(b'{"reconcile-values": ' + at + b"}" for at in (b"1e400", b"9" * 400, b"[]", b"4e9")),
        b'{"none-of-ours": 1}',
    ],
)
def test_a_malformed_file_is_as_a_first_start(file: Path, found: bytes) -> None:
    file.write_bytes(found)
    assert 3500 < due_in(scheduler(file)) <= 3600
    assert set(kept(file)) == set(app.conf.beat_schedule)


def test_the_pickles_of_earlier_versions_are_deleted_unread(file: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.mkdir, (file.parent / "ran",)

    with shelve.open(file.parent / "beat-schedule") as old:
        old["entries"] = Evil()
    for suffix in (".db", ".dat", ".bak", ".dir"):
        (file.parent / f"beat-schedule{suffix}").touch()
    (file.parent / "keyring").touch()
    scheduler(file)
    assert {each.name for each in file.parent.iterdir()} == {file.name, "keyring"}


def test_the_file_is_replaced_as_a_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scheduler(file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", full)
    made.sync()
    assert file.read_bytes() == before
    monkeypatch.undo()
    made.sync()
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_file_that_cannot_be_written_ends_no_beat(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.mkdir()
    made = scheduler(file)
    made.close()
    assert due_in(made) > 3500
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert "last runs were not saved" in caplog.text

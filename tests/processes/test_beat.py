"""Beat, by itself and as a thread of the worker: it ends when it is asked to, and not unnoticed."""

import sys
from pathlib import Path

import pytest

from tests.conftest import MakeService
from tests.support.faults.failing_beat import FAIL
from tests.support.servers.parts import wait_until


def test_beat_ends_quietly_while_it_starts(make_service: MakeService) -> None:
    service = make_service(start=False)
    command = [sys.executable, "-m", "celery", "--app", "fugata_site", "--quiet", "beat"]
    command += ["--scheduler", "tests.support.faults.signalled:SignalledScheduler", "--pidfile="]
    ended = service.run(*command)
    assert ended.returncode == 0, ended.stdout
    assert "Traceback" not in ended.stdout


def _ticked(home: Path) -> str:
    """Return the process in which beat looked at its schedule last."""
    file = home / "ticked"
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("redis", [False, True])
def test_a_beat_that_fails_is_started_again(make_service: MakeService, redis: bool) -> None:
    service = make_service(redis=redis, DJANGO_SETTINGS_MODULE="tests.support.faults.failing_beat")
    wait_until(lambda: _ticked(service.home) != "", "beat")
    before = _ticked(service.home)
    (service.home / FAIL).touch()
    wait_until(lambda: _ticked(service.home) not in ("", before), "beat in another process")
    assert before not in {str(process.pid) for process in service.processes()}
    assert "beat ended, so the worker ends" in service.logged()
    assert "worker ended and is started again" in service.logged()
    assert service.is_well()
    assert service.stop() == 0

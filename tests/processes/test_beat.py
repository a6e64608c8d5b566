"""Beat by itself: it ends quietly whenever it is asked to."""

import subprocess
import sys

from tests.conftest import MakeService
from tests.support.service import ROOT


def test_beat_ends_quietly_while_it_starts(make_service: MakeService) -> None:
    service = make_service(start=False)
    command = [sys.executable, "-m", "celery", "--app", "fugata_site", "--quiet", "beat"]
    command += ["--scheduler", "tests.support.signalled:SignalledScheduler", "--pidfile="]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=service.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "Traceback" not in ended.stdout

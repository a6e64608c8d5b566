"""The runner: what fails is repeated where that is asked for, and nothing is skipped unseen."""

import re
from pathlib import Path

import pytest

from tests.support.runner.passes import Pass, Run
from tests.support.servers.service import ROOT

pytestmark = pytest.mark.processes

PASSES = "def test_one() -> None:\n    pass\n"
FAILS = "def test_two() -> None:\n    raise ValueError\n"
SKIPS = "import pytest\ndef test_three() -> None:\n    pytest.skip()\n"
#: Fails at its first run alone.
ONCE = """
import pathlib
def test_four() -> None:
    ran = pathlib.Path(__file__).with_name("ran")
    before = ran.exists()
    ran.touch()
    assert before
"""
#: Fails, and is skipped when it is repeated.
NEVER = """
import pathlib, pytest
def test_five() -> None:
    ran = pathlib.Path(__file__).with_name("skips")
    if ran.exists():
        pytest.skip()
    ran.touch()
    raise ValueError
"""
#: Fails, and a fixture prints what its service logged.
LOGS = """
import pytest
@pytest.fixture
def service():
    yield
    print("ERROR what it logged")
def test_six(service) -> None:
    raise ValueError
"""
BROKEN = "import nothing_that_is_there\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of the test's own, and as strict as in CI."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FUGATA_TEST_REQUIRE_ALL", "1")


def run(capsys: pytest.CaptureFixture[str], *sources: str, workers: int = 1) -> tuple[int, str]:
    """Run the tests of `sources` with repetition; returns the status and what the end says."""
    for number, source in enumerate(sources):
        Path(f"test_{number}.py").write_text(source)
    asked = Run([], repeat=True)
    asked(Pass("pass", "not absent", workers=workers))
    capsys.readouterr()
    return asked.conclude(), capsys.readouterr().out


def test_what_passes_when_it_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(capsys, PASSES, ONCE)
    assert status == 0
    assert "FLAKY pass | test_1.py::test_four\n    assert False\n" in said
    assert "FAILED" not in said
    assert said.endswith("\n2 passed, 0 failed\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_again(capsys: pytest.CaptureFixture[str], workers: int) -> None:
    status, said = run(capsys, PASSES, FAILS, ONCE, workers=workers)
    assert status == 1
    assert "FAILED pass | test_1.py::test_two\n    ValueError\n" in said
    assert "FLAKY pass | test_2.py::test_four\n" in said
    assert said.endswith("\n2 passed, 1 failed\n")


def test_what_does_not_pass_when_it_is_repeated_has_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, said = run(capsys, PASSES, NEVER)
    assert status == 1
    assert "FAILED pass | test_1.py::test_five\n" in said
    assert "FLAKY" not in said


def test_what_a_service_of_a_failed_test_logged(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = run(capsys, PASSES, LOGS)
    assert "FAILED pass | test_1.py::test_six\n    ValueError\n    ERROR what it logged\n" in said


def test_a_file_that_can_not_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(capsys, PASSES, BROKEN)
    assert status != 0
    assert "FAILED pass | test_1.py\n" in said


def test_what_is_skipped_fails_where_nothing_may_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = run(capsys, PASSES, SKIPS)
    assert status == 1
    assert "SKIPPED pass | test_1.py::test_three\n" in said
    monkeypatch.delenv("FUGATA_TEST_REQUIRE_ALL")
    assert run(capsys)[0] == 0


def test_a_pass_that_ran_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker that fits no test any more would else take a whole pass away unseen."""
    assert run(capsys)[0] == 1
    monkeypatch.delenv("FUGATA_TEST_REQUIRE_ALL")
    status, said = run(capsys)
    assert status == 5
    assert said.endswith("\n0 passed, 0 failed\nNo test matches what was asked for.\n")


def test_a_part_that_is_lacking(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Run([], repeat=False)
    asked.report_missing("Kubernetes: no API server")
    capsys.readouterr()
    assert asked.conclude() == 1
    assert "SKIPPED Kubernetes: no API server" in capsys.readouterr().out


def test_the_end_says_what_each_pass_took(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = run(capsys, PASSES)
    assert re.search(r"^pass +\d+:\d\d  1 passed, 0 failed$", said, re.MULTILINE)

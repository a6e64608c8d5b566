"""A pytest plugin for the runner of this suite: writes what became of the tests of a pass.

The file that FUGATA_TEST_OUTCOMES names gets JSON: the ids of what passed, failed and was skipped,
and by its id what each failed test said. An id is what pytest takes to run that test alone.
"""

import json
import os
from pathlib import Path

import pytest

_outcomes: dict[str, str] = {}
_reasons: dict[str, list[str]] = {}
#: The worse of what a test's set-up, call and tear-down came to counts.
_RANK = ("passed", "skipped", "failed")
#: Lines of a tear-down's output, and characters of a line, that are kept of a test that failed.
_LINES, _WIDTH = 4, 300


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    known = _outcomes.get(report.nodeid, "passed")
    _outcomes[report.nodeid] = max(known, report.outcome, key=_RANK.index)
    _reasons.setdefault(report.nodeid, []).extend(line[:_WIDTH] for line in _said(report))


def _said(report: pytest.TestReport | pytest.CollectReport) -> list[str]:
    """Return the first line of why it failed, or the last ones that its tear-down printed."""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return (crash.message if crash else report.longreprtext).strip().splitlines()[:1]
    if report.when == "teardown":
        return report.capstdout.splitlines()[-_LINES:]
    return []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test's outcome, where it ran here or in a worker of this run."""
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a file that can't be collected, or that is skipped whole."""
    if not report.passed:
        _note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the file, unless this is a worker of a run that will."""
    if hasattr(session.config, "workerinput"):
        return
    outcomes: dict[str, list[str]] = {rank: [] for rank in _RANK}
    for test, outcome in _outcomes.items():
        outcomes[outcome].append(test)
    reasons = {test: _reasons[test] for test in outcomes["failed"]}
    written = json.dumps(outcomes | {"reasons": reasons})
    Path(os.environ["FUGATA_TEST_OUTCOMES"]).write_text(written)

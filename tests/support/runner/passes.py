"""Passes of the suite: pytest, run several times over with other settings and other tests."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Environment = dict[str, str]

_KEYS = "test:" + "A" * 43 + "="
#: pytest's exit status: all passed, some failed, nothing matched.
_PASSED, _FAILED, _NOTHING = 0, 1, 5
#: How many skipped tests are named at the end.
_SHOWN = 20


@dataclass(frozen=True)
class Pass:
    """Which tests run (an expression of markers), in which settings, in how many processes."""

    title: str
    selected: str
    environment: Environment = field(default_factory=dict)
    workers: int = 1

    def command(self, arguments: list[str]) -> list[str]:
        """Return the command that runs it."""
        command = [sys.executable, "-m", "pytest", "-p", "tests.support.runner.outcomes"]
        if self.workers > 1:
            command += [f"--numprocesses={self.workers}", "--dist=loadfile"]
        return [*command, "-m", self.selected, *arguments]


@dataclass
class Outcome:
    """What came of a pass: pytest's status, its tests, why they failed, the seconds it took."""

    status: int
    passed: list[str]
    failed: list[str]
    skipped: list[str]
    reasons: dict[str, list[str]]
    seconds: float

    def told(self, test: str) -> str:
        """Return the test's id, and below it what it said when it failed."""
        return "\n    ".join([test, *self.reasons[test]])


class Run:
    """The passes of one run, and what came of them."""

    def __init__(self, arguments: list[str], *, repeat: bool) -> None:
        self._arguments, self._repeat = arguments, repeat
        self._strict = bool(os.environ.get("FUGATA_TEST_REQUIRE_ALL"))
        self._outcomes: dict[str, Outcome] = {}
        self._flaky: list[str] = []
        self._lacking: list[str] = []

    def __call__(self, one: Pass) -> None:
        """Run a pass, and once more those of its tests that failed, where that is asked for."""
        outcome = _run(one, self._arguments)
        if self._repeat and outcome.status == _FAILED and outcome.failed:
            self._try_again(one, outcome)
        self._outcomes[one.title] = outcome

    def _try_again(self, one: Pass, outcome: Outcome) -> None:
        """Run what failed alone; what passes then, and that only, has not failed."""
        again = _run(one, outcome.failed, " again")
        mended = [test for test in outcome.failed if test in again.passed]
        self._flaky += [f"{one.title} | {outcome.told(test)}" for test in mended]
        outcome.passed += mended
        outcome.failed = [test for test in outcome.failed if test not in mended]
        outcome.status = _FAILED if outcome.failed else _PASSED

    def report_missing(self, what: str) -> None:
        """Say now and at the end that a part of the suite can't run here."""
        self._lacking.append(f"SKIPPED {what}")
        print(self._lacking[-1], flush=True)

    def conclude(self) -> int:
        """Print what failed, what each pass took and how many passed; returns an exit status."""
        skipped = list(self._named("skipped"))
        _say(*self._lacking, *(f"SKIPPED {test}" for test in skipped[:_SHOWN]))
        if len(skipped) > _SHOWN:
            _say(f"SKIPPED {len(skipped) - _SHOWN} more")
        _say(*(f"FLAKY {test}" for test in self._flaky))
        _say(*(f"FAILED {test}" for test in self._failed()))
        _say(*(_taken(title, outcome) for title, outcome in self._outcomes.items()))
        outcomes = self._outcomes.values()
        passed, failed = sum(len(o.passed) for o in outcomes), sum(len(o.failed) for o in outcomes)
        _say(f"{passed} passed, {failed} failed")
        if {one.status for one in outcomes} == {_NOTHING}:
            print("No test matches what was asked for.", flush=True)
        idle = any(one.status == _NOTHING for one in outcomes)
        return self._status(accepted=not (self._strict and (skipped or self._lacking or idle)))

    def _named(self, what: str) -> list[str]:
        found = self._outcomes.items()
        return [f"{title} | {test}" for title, one in found for test in getattr(one, what)]

    def _failed(self) -> list[str]:
        found = self._outcomes.items()
        return [f"{title} | {one.told(test)}" for title, one in found for test in one.failed]

    def _status(self, *, accepted: bool) -> int:
        statuses = {outcome.status for outcome in self._outcomes.values()}
        wrong = statuses - {_PASSED, _NOTHING}
        if wrong or not accepted:
            return max(wrong, default=1)
        return _PASSED if _PASSED in statuses else _NOTHING


def _run(one: Pass, arguments: list[str], note: str = "") -> Outcome:
    """Run pytest; each line that it prints begins with the pass's title."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fugata-test-") as home:
        written = Path(home) / "outcomes.json"
        ours = {"FUGATA_HOME": f"{home}/home", "FUGATA_KEYS": _KEYS}
        ours |= {"FUGATA_TEST_OUTCOMES": str(written)} | one.environment
        status = _print(one.title + note, one.command(arguments), _inherited() | ours)
        found = json.loads(written.read_text()) if written.exists() else {}
    nothing: dict[str, Any] = {"passed": [], "failed": [], "skipped": [], "reasons": {}}
    return Outcome(status, seconds=time.monotonic() - started, **nothing | found)


def _inherited() -> Environment:
    """Return this process's environment, without the cluster that it may run in itself.

    Byte code is kept: to compile all again is half of what each start of a service costs.
    """
    without = ("KUBERNETES_", "PYTHONDONTWRITEBYTECODE")
    return {k: v for k, v in os.environ.items() if not k.startswith(without)}


def _print(title: str, command: list[str], environment: Environment) -> int:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    for line in process.stdout:
        print(f"{title} | {line.rstrip()}", flush=True)
    return process.wait()


def _taken(title: str, one: Outcome) -> str:
    minutes, seconds = divmod(round(one.seconds), 60)
    return (
        f"{title:<10}  {minutes}:{seconds:02}  {len(one.passed)} passed, {len(one.failed)} failed"
    )


def _say(*lines: str) -> None:
    if lines:
        print("", *lines, sep="\n", flush=True)

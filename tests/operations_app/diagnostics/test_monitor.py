"""The health probe: what is not well, what is old, and what hangs."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django.fixtures import Settings

from operations_app.diagnostics import monitor as module
from operations_app.diagnostics.monitor import Monitor
from operations_app.diagnostics.probes import MINOR, PROBES, WRITES
from tests.support.in_process.fixtures import Clock
from tests.support.in_process.keys import use_keys

DATABASE = "Database connection failed"
Parts = dict[str, Callable[[], None]]


def well() -> None:
    """Nothing is wrong."""


class Probed(Monitor):
    """A monitor that asks when the test says so; `started` counts how often it was to start."""

    started = 0

    def start(self) -> None:
        self.started += 1


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    """All parts well, until the test has it otherwise."""
    made: Parts = dict.fromkeys(PROBES, well)
    monkeypatch.setattr(module, "PROBES", made)
    return made


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch, parts: Parts) -> Monitor:
    """The monitor that /healthz reads."""
    probed = Probed()
    monkeypatch.setattr(module, "_monitor", probed)
    monkeypatch.setattr(module, "FIRST_ANSWER_TIMEOUT", 0.05)
    return probed


def fail() -> None:
    raise OperationalError("password s3cret refused")


def test_all_is_well(client: Client, monitor: Monitor) -> None:
    monitor._probe()
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("sentence", list(PROBES))
def test_a_part_that_fails(client: Client, monitor: Monitor, parts: Parts, sentence: str) -> None:
    parts[sentence] = fail
    monitor._probe()
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unhealthy", "error": sentence}
    parts[sentence] = well
    monitor._probe()
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("sentence", list(PROBES))
def test_readiness(client: Client, monitor: Monitor, parts: Parts, sentence: str) -> None:
    """Who can only not store anything can open what is stored, if requests still get there."""
    parts[sentence] = fail
    monitor._probe()
    answer = client.get("/readyz")
    assert answer.status_code == (200 if sentence in MINOR else 503)
    parts[WRITES] = fail
    monitor._probe()
    assert client.get("/readyz").status_code == answer.status_code


def test_the_documented_sentence_is_there() -> None:
    assert DATABASE in PROBES


def test_nobody_asked_yet(client: Client, monitor: Monitor) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"


def test_an_old_answer_is_no_answer(
    client: Client, monitor: Monitor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", clock)
    monitor._probe()
    clock.move(4.9)
    assert client.get("/healthz").status_code == 200
    clock.move(0.2)
    assert client.get("/healthz").status_code == 503
    monitor._probe()
    assert client.get("/healthz").status_code == 200


@pytest.fixture
def hanging(parts: Parts) -> Iterator[threading.Event]:
    """A database that hangs until the test lets it go."""
    go, asked = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        go.wait(60)

    parts[DATABASE] = hang
    yield asked
    go.set()


def test_a_part_that_hangs_is_named(
    client: Client,
    monitor: Monitor,
    hanging: threading.Event,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "time", clock)
    prober = threading.Thread(target=monitor._probe, daemon=True)
    prober.start()
    assert hanging.wait(60)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unhealthy", "error": DATABASE}


def test_the_probe_starts_once_and_goes_on(
    parts: Parts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that was started asks again and again, until the test parks it in its sleep."""
    asked: list[int | None] = []
    enough = threading.Event()
    others = {thread.ident for thread in threading.enumerate()}  # an earlier test's monitor too

    def sleep(seconds: float) -> None:
        if threading.get_ident() in others:
            time.sleep(seconds)
        elif len(asked) >= 5:
            enough.set()
            threading.Event().wait()

    def ask() -> None:
        if threading.get_ident() not in others:
            asked.append(threading.get_ident())

    parts[DATABASE] = ask
    monkeypatch.setattr(clock, "sleep", sleep)
    monkeypatch.setattr(module, "time", clock)
    monitor = Monitor()
    for _ in range(3):
        monitor.start()
    assert enough.wait(60)
    assert len(asked) == 5
    assert len(set(asked)) == 1
    assert monitor.problem() is None


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods(client: Client, monitor: Monitor, path: str, method: str) -> None:
    answer = client.generic(method, path)
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method not allowed"}
    assert answer["Allow"] == "GET, HEAD"


def test_any_host_may_ask(client: Client, monitor: Monitor) -> None:
    monitor._probe()
    for path in ("/healthz", "/livez"):
        assert client.get(path, headers={"host": "10.1.2.3:8080"}).status_code == 200
        assert client.head(path, headers={"host": "evil.example"}).status_code == 200


def test_livez_says_only_that_the_process_runs(
    client: Client, monitor: Monitor, parts: Parts
) -> None:
    parts[DATABASE] = fail
    monitor._probe()
    answer = client.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_the_real_parts_are_well(settings: Settings) -> None:
    use_keys(settings, "test:" + "A" * 43 + "=")
    for check in PROBES.values():
        check()


@pytest.mark.django_db
def test_the_log_says_what_failed_and_nothing_more(
    monitor: Monitor, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    parts[DATABASE] = fail
    monitor._probe()
    monitor._probe()
    parts[DATABASE] = well
    monitor._probe()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"health: {DATABASE} (OperationalError)", "health: well again"]

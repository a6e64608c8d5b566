"""When the database counts as one that fails requests, and until when."""

from typing import cast

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import resolve

from fugata_core import failing_requests
from fugata_core.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    DiskFull,
    FugataError,
    InternalError,
    NotFound,
    Overloaded,
    RowLocked,
)
from fugata_core.failing_requests import (
    FORGOTTEN,
    QUIET,
    Failures,
    failing,
    full_disk,
    note_answer,
    note_error,
)
from fugata_core.requests import FugataRequest
from fugata_site.middleware import health
from fugata_site.middleware.health import HealthMiddleware
from tests.support.in_process.fixtures import Clock


@pytest.fixture(autouse=True)
def stopped(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    for module in (failing_requests, health):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_it_takes_some_in_a_row() -> None:
    failures = Failures(3)
    for what in ("create", "open"):
        failures.add(what)
    assert not failures.go_on
    failures.add("create")
    assert failures.go_on


def test_a_success_ends_the_row_of_what_succeeded() -> None:
    """Who reads without trouble may still be unable to write."""
    failures = Failures(3)
    for _ in range(3):
        failures.add("create")
        failures.end("open")
    assert failures.go_on
    failures.end("create")
    assert not failures
    assert not failures.go_on


def test_it_is_over_when_nothing_has_failed_for_a_while(clock: Clock) -> None:
    failures = Failures(3)
    for _ in range(3):
        failures.add("create")
    clock.move(QUIET)
    assert not failures.go_on
    assert failures
    failures.add("create")  # nothing has succeeded since
    assert failures.go_on
    clock.move(FORGOTTEN)
    failures.add("create")
    assert not failures.go_on


def test_what_took_long_counts_for_as_long(clock: Clock) -> None:
    """The next may fail no sooner; one that fails at once meanwhile changes nothing."""
    failures = Failures(3)
    for took in (30.0, 30.0, 0.0):
        failures.add("create", took)
    clock.move(30 + QUIET - 1)
    assert failures.go_on
    clock.move(1)
    assert not failures.go_on


def test_what_succeeded_since_took_no_time(clock: Clock) -> None:
    failures = Failures(1)
    failures.add("create", 30.0)
    failures.end("create")
    assert not failures.go_on
    failures.add("create")
    clock.move(QUIET)
    assert not failures.go_on


def request(method: str, path: str) -> HttpRequest:
    made = RequestFactory().generic(method, path)
    made.resolver_match = resolve(path)
    return made


def fail(error: FugataError, method: str = "POST", path: str = "/secrets") -> None:
    for _ in range(3):
        note_error(request(method, path), error)


@pytest.mark.parametrize(
    "error", [RowLocked(), InternalError("content"), NotFound(), Overloaded()], ids=repr
)
def test_what_is_not_the_databases_fault(error: FugataError) -> None:
    fail(error)
    assert not failing
    assert not full_disk


@pytest.mark.parametrize("error", [DatabaseUnavailable(), DatabaseRefused()], ids=repr)
def test_what_is(error: FugataError) -> None:
    fail(error)
    assert failing.go_on
    note_answer(request("GET", "/secrets/x"), 200)
    note_answer(request("POST", "/secrets"), 400)  # the database was not asked
    assert failing.go_on
    note_answer(request("POST", "/secrets"), 201)
    assert not failing


@pytest.mark.parametrize("error", [DatabaseUnavailable(), DiskFull()], ids=repr)
def test_a_request_is_as_old_as_health_says(error: FugataError, clock: Clock) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        clock.move(30)
        for _ in range(3):
            note_error(request, error)
        return HttpResponse(status=503)

    HealthMiddleware(answer)(cast("FugataRequest", request("POST", "/secrets")))
    clock.move(30)
    assert failing.go_on or full_disk.go_on
    clock.move(QUIET)
    assert not failing.go_on
    assert not full_disk.go_on


def test_a_full_disk_needs_no_row() -> None:
    note_error(request("POST", "/secrets"), DiskFull())
    assert full_disk.go_on
    assert not failing
    note_answer(request("POST", "/secrets"), 201)
    assert not full_disk


def test_what_a_middleware_answered_counts_for_its_view() -> None:
    """It was not resolved then; a static file leads to no view at all."""
    path = "/repositories/x/secrets"
    for _ in range(3):
        note_error(RequestFactory().get(path), DatabaseRefused())
        note_answer(RequestFactory().get("/static/x.css"), 200)
    assert failing.go_on
    note_answer(request("GET", path), 200)
    assert not failing


def test_what_clients_make_up_takes_no_memory() -> None:
    for number in range(100):
        note_error(request(f"M{number}", "/secrets"), DatabaseUnavailable())
    assert len(failing._failed) == 1

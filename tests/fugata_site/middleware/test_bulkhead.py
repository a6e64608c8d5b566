"""The bulkhead: what hangs holds half of the threads, and the rest is answered."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from prometheus_client import Metric
from pytest_django.fixtures import Settings

from fugata_core import limits
from fugata_core.limits import BACKENDS, WAITS
from fugata_core.requests import FugataRequest
from fugata_core.routes import WITHOUT_BACKEND
from fugata_site.middleware import bulkhead, caller
from fugata_site.middleware.bulkhead import BulkheadMiddleware
from tests.support.servers.parts import wait_until
from vault_app.backends import reset_backends

THREADS = 8


class Hanging:
    """A view that hangs until it is let go, and counts who is inside."""

    def __init__(self) -> None:
        self.inside = 0
        self.go = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            self.inside += 1
        self.go.wait(60)
        with self._lock:
            self.inside -= 1
        return HttpResponse()


@pytest.fixture
def view() -> Iterator[Hanging]:
    hanging = Hanging()
    yield hanging
    hanging.go.set()


@pytest.fixture
def middleware(
    view: Hanging, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> BulkheadMiddleware:
    settings.WEB_THREADS = THREADS
    monkeypatch.setattr(bulkhead, "BACKENDS", replace(BACKENDS, max_wait=0.05))
    return BulkheadMiddleware(view)


def ask(middleware: BulkheadMiddleware, path: str = "/secrets/x", method: str = "GET") -> int:
    return middleware(RequestFactory().generic(method, path)).status_code


def test_half_of_the_threads_and_no_more(middleware: BulkheadMiddleware, view: Hanging) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        asked: list[Future[int]] = [pool.submit(ask, middleware) for _ in range(THREADS)]
        wait_until(lambda: sum(future.done() for future in asked) == THREADS // 2, "the refusals")
        assert view.inside == THREADS // 2
        assert ask(middleware) == 503
        view.go.set()
        answers = [future.result() for future in asked]
    assert sorted(answers) == [200] * (THREADS // 2) + [503] * (THREADS // 2)


def test_the_refusal(middleware: BulkheadMiddleware, view: Hanging) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(THREADS // 2):
            pool.submit(ask, middleware)
        wait_until(lambda: view.inside == THREADS // 2, "a full house")
        answer = middleware(RequestFactory().get("/secrets/x"))
        view.go.set()
    assert answer.status_code == 503
    assert answer.content == b'{"error": "Service is overloaded, try again"}'
    assert answer["Retry-After"]


def test_it_opens_again_when_somebody_leaves(middleware: BulkheadMiddleware, view: Hanging) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [pool.submit(ask, middleware) for _ in range(THREADS // 2)]
        wait_until(lambda: view.inside == THREADS // 2, "a full house")
        assert ask(middleware) == 503
        view.go.set()
        assert [future.result() for future in asked] == [200] * (THREADS // 2)
    assert [ask(middleware) for _ in range(THREADS)] == [200] * THREADS


def test_a_view_that_raises_leaves_its_place(settings: Settings) -> None:
    settings.WEB_THREADS = 2

    def fail(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("injected")

    middleware = BulkheadMiddleware(fail)
    for _ in range(5):
        with pytest.raises(RuntimeError):
            ask(middleware)


@pytest.mark.parametrize(
    ("status", "late", "hangs"),
    [(500, True, True), (503, True, True), (503, False, False), (404, True, False)],
)
def test_after_a_request_that_fails_late_the_next_ones_do_not_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, status: int, late: bool, hangs: bool
) -> None:
    """Its backend hung. What is refused soon, for want of a place, says nothing of backends."""
    settings.WEB_THREADS = 6
    middleware = BulkheadMiddleware(lambda request: HttpResponse(status=status))
    longest = 0.0 if late else BACKENDS.max_wait
    monkeypatch.setattr(bulkhead, "BACKENDS", replace(BACKENDS, max_wait=longest))
    middleware._bulkhead._hanging = True
    assert ask(middleware) == status
    assert middleware._bulkhead.is_hanging is hangs
    middleware._bulkhead._hanging = False


def test_nor_do_they_after_a_token_could_not_be_looked_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEB_THREADS = 7
    places = limits.bulkhead(BACKENDS)
    places._hanging = True

    def fail(request: HttpRequest) -> None:
        raise OperationalError("injected")

    asked = cast(FugataRequest, RequestFactory().get("/repositories/r/secrets"))
    for find, hangs in ((fail, True), (lambda request: None, False)):
        monkeypatch.setattr(caller, "find_caller", find)
        caller.CallerMiddleware(lambda request: HttpResponse())(asked)
        assert places.is_hanging is hangs


def test_waits_are_measured(middleware: BulkheadMiddleware, view: Hanging) -> None:
    """Those that found a place at once, and those that waited in vain."""
    (before,) = WAITS.labels(BACKENDS.name).collect()
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [pool.submit(ask, middleware) for _ in range(THREADS // 2)]
        wait_until(lambda: view.inside == THREADS // 2, "a full house")
        assert ask(middleware) == 503
        view.go.set()
        assert {future.result() for future in asked} == {200}
    (after,) = WAITS.labels(BACKENDS.name).collect()

    def found(metric: Metric, most: str) -> float:
        return next(s.value for s in metric.samples if s.labels.get("le") == most)

    at_once = found(after, "0.001") - found(before, "0.001")
    assert at_once == THREADS // 2
    assert found(after, "+Inf") - found(before, "+Inf") == THREADS // 2 + 1


# --- What needs no place -------------------------------------------------------------------------

NO_PLACE = [
    *((method, path) for path, methods in WITHOUT_BACKEND.items() for method in methods),
    ("GET", "/nowhere"),
    ("POST", "/docs/nowhere"),
]
#: One path for each view.
PLACE = [
    ("POST", "/"),
    ("GET", "/s/x"),
    ("POST", "/s/x"),
    ("POST", "/s/x/delete"),
    ("POST", "/secrets"),
    ("GET", "/secrets/x"),
    ("GET", "/repositories/r/secrets"),
    ("GET", "/repositories/r/secrets/k"),
    ("GET", "/admin"),
    ("GET", "/admin/"),
    ("GET", "/admin/login/"),
]


@pytest.fixture
def full(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[BulkheadMiddleware]:
    """All places are held, and nobody waits for one."""
    settings.WEB_THREADS = 5
    monkeypatch.setattr(bulkhead, "BACKENDS", replace(BACKENDS, max_wait=0.0))
    middleware = BulkheadMiddleware(lambda request: HttpResponse())
    with ExitStack() as stack:
        for _ in range(BACKENDS.places(5)):
            stack.enter_context(middleware._bulkhead.place())
        yield middleware


@pytest.mark.parametrize(("method", "path"), NO_PLACE)
def test_what_needs_no_backend_needs_no_place(
    full: BulkheadMiddleware, method: str, path: str
) -> None:
    assert ask(full, path, method) == 200


@pytest.mark.parametrize(("method", "path"), PLACE)
def test_all_else_needs_a_place(full: BulkheadMiddleware, method: str, path: str) -> None:
    assert ask(full, path, method) == 503


def test_each_view_is_among_those() -> None:
    """A new view needs a place until it is known to need no backend."""
    known = {resolve(path).func for _, path in (*PLACE, *NO_PLACE[:-2])}
    views = {each.callback for each in _patterns(get_resolver().url_patterns)}
    assert views <= known


def _patterns(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    """Yield those of views, outside of the console."""
    for each in patterns:
        if isinstance(each, URLPattern):
            yield each
        elif each.namespace != "admin":
            yield from _patterns(each.url_patterns)


@pytest.mark.parametrize(("method", "path"), NO_PLACE)
def test_what_needs_no_place_asks_no_backend(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """Neither a store nor keys are loaded; pytest-django refuses the database."""

    def fail(*_: object) -> None:
        raise AssertionError("a backend was asked")

    reset_backends()
    monkeypatch.setattr("vault_app.backends._construct", fail)
    answer = Client().generic(method, path)
    assert answer.status_code == (404 if "nowhere" in path else 200)

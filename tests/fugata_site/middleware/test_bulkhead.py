"""The bulkhead: what hangs holds half of the threads, and the rest is answered."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from prometheus_client import Metric
from pytest_django.fixtures import Settings

from fugata_core.limits import BACKENDS, WAITS
from fugata_site.middleware import bulkhead
from fugata_site.middleware.bulkhead import BulkheadMiddleware
from tests.support.servers.parts import wait_until

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


def ask(middleware: BulkheadMiddleware) -> int:
    return middleware(RequestFactory().get("/secrets/x")).status_code


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

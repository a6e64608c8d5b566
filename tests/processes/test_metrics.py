"""Metrics of a live service: of all its processes at once, for those who may see them alone."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import MakeService
from tests.support.clients.sharing import (
    create,
    create_request,
    delete_request,
    open_request,
    open_share,
)
from tests.support.clients.wire import Line, exchange, request, volley
from tests.support.servers.parts import free_port, wait_until
from tests.support.servers.restartable import RestartablePostgresql
from tests.support.servers.service import ROOT, Service

TOKEN = "a-token-of-the-scraper"
SEND = "from secrets_app.tasks import purge_expired; purge_expired.delay()"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(url: str, **headers: str) -> Samples:
    """Return the samples at `url` by name and labels."""
    answer = httpx.get(f"{url}/metrics", headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """Return a sample."""
    return samples.get((name, frozenset(labels.items())))


def shares(samples: Samples, event: str) -> float | None:
    return value(samples, "fugata_shares_total", event=event)


@pytest.fixture
def port() -> str:
    """A port for METRICS_PORT."""
    return str(free_port())


def test_all_processes_are_counted_also_those_that_died(
    make_service: MakeService, any_database: str, port: str
) -> None:
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="3", METRICS_PORT=port)
    at = f"http://127.0.0.1:{port}"
    volley(service.port, [create_request(f"s {n}", one_time=False) for n in range(60)])
    for worker in service.workers()[:2]:
        worker.send_signal(signal.SIGKILL)
        worker.wait(30)
    wait_until(lambda: len(service.workers()) == 3, "three workers again")
    service.wait_until_well()
    volley(service.port, [create_request(f"s {n}", one_time=False) for n in range(40)])
    for _ in range(6):  # whichever process answers
        samples = scraped(at)
        assert shares(samples, "created") == 100
        seconds = "fugata_http_request_duration_seconds_count"
        assert value(samples, seconds, endpoint="shares", method="POST", status="2xx") == 100
        assert value(samples, "fugata_place_wait_seconds_count", limit="threads") == 100
    assert httpx.get(f"{service.url}/metrics").status_code == 404, "off the public port"


def test_the_worker_is_counted_too(make_service: MakeService, port: str) -> None:
    service = make_service(METRICS_PORT=port, TTL_PRESETS="1s,1h")
    at = f"http://127.0.0.1:{port}"
    share = create(service.port, duration="1s", one_time=False)
    wait_until(lambda: open_share(service.port, share).status == 404, "expiry")
    service.manage("shell", "-c", SEND)
    wait_until(lambda: shares(scraped(at), "expired") == 1, "the worker's count")
    task = {"task": "purge_expired"}
    succeeded = "fugata_task_last_success_timestamp_seconds"
    wait_until(lambda: (value(scraped(at), succeeded, **task) or 0) > 1.7e9, "its success")
    assert value(scraped(at), "fugata_tasks_total", outcome="done", **task) == 1


def test_each_start_begins_at_zero(make_service: MakeService, port: str) -> None:
    service = make_service(METRICS_PORT=port)
    create(service.port)
    assert shares(scraped(f"http://127.0.0.1:{port}"), "created") == 1
    assert service.stop() == 0
    service.start()
    assert shares(scraped(f"http://127.0.0.1:{port}"), "created") == 0


def test_there_are_none_unless_asked_for(service: Service) -> None:
    answer = httpx.get(f"{service.url}/metrics")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not found"})
    assert not (service.home / "metrics").exists()


@pytest.fixture
def behind_a_token(make_service: MakeService) -> Service:
    return make_service(METRICS_TOKEN=TOKEN, RATE_LIMIT_RPM="1", RATE_LIMIT_BURST="2")


def test_the_token_is_asked_for(behind_a_token: Service) -> None:
    url = f"{behind_a_token.url}/metrics"
    for wrong in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer \xe9"):
        given = {b"Authorization": wrong.encode("latin-1")} if wrong else {}
        answer = httpx.get(url, headers=given)
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "fugata_" not in answer.text
    right = {"Authorization": f"Bearer {TOKEN}", "Host": "10.1.2.3:8080"}
    assert httpx.get(url, headers=right).status_code == 200, "a scraper sends an address as Host"
    assert httpx.head(url, headers=right).content == b""
    assert httpx.post(url, headers=right).headers["Allow"] == "GET, HEAD"
    assert TOKEN not in behind_a_token.logged()


def test_scrapes_are_never_limited_and_limits_are_counted(behind_a_token: Service) -> None:
    given = {"Authorization": f"Bearer {TOKEN}"}
    for _ in range(10):
        samples = scraped(behind_a_token.url, **given)
    assert value(samples, "fugata_rate_limited_total", by="client") == 0
    statuses = [exchange(behind_a_token.port, request("GET", "/")).status for _ in range(5)]
    assert statuses.count(429) == 3
    assert (
        value(scraped(behind_a_token.url, **given), "fugata_rate_limited_total", by="client") == 3
    )


def test_a_port_with_a_token(make_service: MakeService, port: str) -> None:
    service = make_service(METRICS_PORT=port, METRICS_TOKEN=TOKEN)
    at, given = f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{at}/metrics").status_code == 401
    assert httpx.get(f"{at}/metrics", headers=given).status_code == 200
    assert httpx.get(f"{at}/secrets", headers=given).status_code == 404
    assert httpx.get(f"{service.url}/metrics", headers=given).status_code == 404


def test_a_port_that_is_taken(make_service: MakeService) -> None:
    taken = make_service()
    service = make_service(start=False, METRICS_PORT=str(taken.port))
    service.start(wait=False)
    assert service.process is not None
    assert service.process.wait(60) != 0
    assert f"METRICS_PORT: 127.0.0.1:{taken.port} can't be listened on" in service.logged()


@contextmanager
def hanging(port: int, count: int) -> Iterator[None]:
    """Keep `count` requests hanging."""
    lines = [Line(port).send(create_request("hangs")) for _ in range(count)]
    try:
        yield
    finally:
        for line in lines:
            line.close()


@pytest.mark.parametrize("own_port", [True, False], ids=["port", "token"])
def test_scrapes_are_answered_while_the_database_hangs(
    make_service: MakeService, port: str, own_port: bool
) -> None:
    postgresql = RestartablePostgresql()
    try:
        service = make_service(start=False, DATABASE_URL=postgresql.new_database(), WEB_THREADS="4")
        service.settings |= {"METRICS_PORT": port} if own_port else {"METRICS_TOKEN": TOKEN}
        service.start()
        at = f"http://127.0.0.1:{port}" if own_port else service.url
        given = {} if own_port else {"Authorization": f"Bearer {TOKEN}"}
        create(service.port)
        postgresql.freeze()
        with hanging(service.port, 20):
            wait_until(
                lambda: value(scraped(at, **given), "fugata_healthy") == 0, "word that it is unwell"
            )
            for _ in range(10):
                assert shares(scraped(at, **given), "created") == 1
        postgresql.thaw()
        wait_until(
            lambda: value(scraped(at, **given), "fugata_healthy") == 1, "word that it is well"
        )
    finally:
        postgresql.thaw()
        postgresql.close()


def test_no_label_names_anything(make_service: MakeService, port: str) -> None:
    service = make_service(METRICS_PORT=port)
    share = create(service.port, one_time=False)
    for data in (
        open_request(share),
        request("GET", f"/secrets/{share.id}/more?token={share.token}"),
        request("GET", f"/{share.id}"),
        request("GET", f"/s/{share.id}"),
        request("BREW", f"/secrets/{share.id}"),
        request("GET", "/static/fugata.css"),
        request("GET", "/repositories/my-repository/secrets/MY_KEY"),
        request("DELETE", f"/secrets/{share.id}", authorization="Bearer tok_" + "a" * 22),
        delete_request(share),
    ):
        exchange(service.port, data)
    samples = scraped(f"http://127.0.0.1:{port}")
    labels = {name: {dict(given).get(name) for _, given in samples} for name in LABELS}
    for name, pattern in LABELS.items():
        assert {text for text in labels[name] if text and not re.fullmatch(pattern, text)} == set()
    assert {name for _, given in samples for name, _ in given} <= LABELS.keys()
    assert {"other", "DELETE"} <= labels["method"]
    assert {"shares", "share", "pages:share", "static", "none"} <= labels["endpoint"]


#: Every label that there is, and what it may say.
LABELS = {
    "limit": r"threads|backends|row|references|key_services|readers|large_bodies|discards",
    "endpoint": r"shares|share|repository-secrets?|pages:(new|share|delete)|openapi|docs|static"
    r"|admin|none",
    "method": r"GET|HEAD|POST|DELETE|other",
    "status": r"[2-5]xx",
    "le": r"[0-9.e+-]+|\+Inf",
    "event": r"[a-z_]+",
    "kind": r"[a-z_]+",
    "by": r"client|token",
    "part": r"store|keys",
    "backend": r"[A-Za-z]+",
    "operation": r"[a-z]+",
    "error": r"[A-Za-z]+",
    "task": r"[a-z_]+",
    "outcome": r"done|failed",
}


def test_a_worker_by_itself_serves_its_own(make_service: MakeService, port: str) -> None:
    """As in a deployment of its own."""
    service = make_service(start=False, METRICS_PORT=port)
    service.manage("prepare")
    command = [sys.executable, "-m", "celery", "--app", "fugata_site", "--quiet", "worker"]
    worker = subprocess.Popen(
        [*command, "--pool=solo", "--loglevel=WARNING"],
        cwd=ROOT,
        env=service.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        at = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(at), "the worker's metrics")
        service.manage("shell", "-c", SEND)
        done = {"task": "purge_expired", "outcome": "done"}
        wait_until(lambda: value(scraped(at), "fugata_tasks_total", **done) == 1, "its count")
        assert value(scraped(at), "fugata_healthy") == 1
    finally:
        worker.terminate()
        worker.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/metrics").status_code == 200
    except httpx.HTTPError:
        return False


def test_guesses_at_the_token_are_counted(make_service: MakeService, port: str) -> None:
    """On the public port and on its own; a right one is not looked at after too many."""
    public = make_service(METRICS_TOKEN=TOKEN)
    make_service(METRICS_TOKEN=TOKEN, METRICS_PORT=port)
    for place in (public.port, int(port)):
        guess = request("GET", "/metrics", authorization="Bearer a-guess-at-the-token")
        statuses = [exchange(place, guess).status for _ in range(35)]
        assert statuses == [401] * 30 + [429] * 5
        assert int(exchange(place, guess).headers["retry-after"]) > 0
        right = request("GET", "/metrics", authorization=f"Bearer {TOKEN}")
        assert exchange(place, right).status == 429
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.9")
        with httpx.Client(
            transport=elsewhere, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as http:
            assert http.get(f"http://127.0.0.1:{place}/metrics").status_code == 200

"""Rate limits: exact over several processes, and out of the way when Redis is."""

import signal
import time

import pytest

from tests.conftest import MakeService
from tests.support.clients.wire import Answer, exchange, request, volley
from tests.support.servers.parts import RedisServer, wait_until
from tests.support.servers.service import Service

BURST = 10
LIMITS = {
    "RATE_LIMIT_RPM": "1",
    "RATE_LIMIT_BURST": str(BURST),
    "TRUSTED_PROXIES": "127.0.0.1",
    "WEB_CONCURRENCY": "3",
}
#: So that a busy machine does not look like a Redis that is away, past which requests are let.
PATIENT = {"REDIS_TIMEOUT_MS": "10000"}


def _limited(make_service: MakeService, **settings: str) -> Service:
    service = make_service(redis=not settings, start=False)
    service.settings |= LIMITS | (settings or PATIENT)
    return service.start()


def _ask(client: str) -> bytes:
    return request("GET", "/secrets/nothing", x_forwarded_for=client)


def _assert_limited(answer: Answer) -> None:
    assert answer.status == 429
    assert answer.json() == {"error": "Rate limit exceeded"}
    assert answer.headers["x-ratelimit-limit"] == "1"
    assert answer.headers["x-ratelimit-remaining"] == "0"
    # Full again when all tokens are back, one a minute.
    assert (
        (BURST - 1) * 60 < int(answer.headers["x-ratelimit-reset"]) - time.time() < BURST * 60 + 2
    )
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.soak
def test_exactly_the_burst_gets_through(make_service: MakeService, rounds: int) -> None:
    service = _limited(make_service)
    for number in range(max(rounds // 5, 2)):
        answers = volley(service.port, [_ask(f"198.51.100.{number % 250}")] * 200)
        let_through = [a for a in answers if a.status == 404]
        left = sorted(int(a.headers["x-ratelimit-remaining"]) for a in let_through)
        assert left == list(range(BURST)), "each token was handed out once"
        limited = [a for a in answers if a.status != 404]
        assert len(limited) == 200 - BURST
        for answer in limited:
            _assert_limited(answer)


def test_health_is_not_counted_and_clients_do_not_share(make_service: MakeService) -> None:
    service = _limited(make_service)
    health = request("GET", "/healthz", x_forwarded_for="198.51.100.1")
    assert {a.status for a in volley(service.port, [health] * 50)} == {200}
    clients = [f"198.51.100.{n}" for n in range(1, 5)]
    answers = volley(service.port, [_ask(client) for client in clients] * BURST)
    assert {a.status for a in answers} == {404}
    for answer in volley(service.port, [_ask(client) for client in clients]):
        _assert_limited(answer)


def _blocks_nobody(service: Service, client: str) -> None:
    assert {a.status for a in volley(service.port, [_ask(client)] * 60)} == {404}
    health = exchange(service.port, request("GET", "/healthz"))
    assert (health.status, health.json()) == (200, {"status": "ok"})


def _counts_again(service: Service, client: str) -> None:
    def limited() -> bool:
        return exchange(service.port, _ask(client)).status == 429

    wait_until(limited, "a request over the limit")
    # Every process counts again, each as soon as its pause is over.
    wait_until(
        lambda: {a.status for a in volley(service.port, [_ask(client)] * 30)} == {429},
        "every process counting again",
    )


def test_a_dead_redis_blocks_nobody(make_service: MakeService, own_redis: RedisServer) -> None:
    service = _limited(make_service, REDIS_URL=own_redis.url())
    _counts_again(service, "198.51.100.1")
    own_redis.stop()
    _blocks_nobody(service, "198.51.100.1")
    assert "rate limits are off for now" in service.logged()
    own_redis.start()
    _counts_again(service, "198.51.100.2")


def test_a_frozen_redis_blocks_nobody(make_service: MakeService, own_redis: RedisServer) -> None:
    service = _limited(make_service, REDIS_URL=own_redis.url())
    _counts_again(service, "198.51.100.1")
    own_redis.process.send_signal(signal.SIGSTOP)
    _blocks_nobody(service, "198.51.100.1")
    assert "rate limits are off for now" in service.logged()
    own_redis.process.send_signal(signal.SIGCONT)
    _counts_again(service, "198.51.100.2")

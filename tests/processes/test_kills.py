"""Kills: nothing acknowledged is lost, nothing is handed out twice, whatever dies when."""

import contextlib
import random

import psutil
import pytest

from tests.conftest import MakeService
from tests.support.load.ledger import Stream
from tests.support.servers.parts import wait_until
from tests.support.servers.service import Service


def kill_a_worker(service: Service, choice: random.Random) -> None:
    wait_until(lambda: bool(service.workers()), "a gunicorn worker")
    with contextlib.suppress(psutil.NoSuchProcess, IndexError):
        choice.choice(service.workers()).kill()


@pytest.mark.soak
def test_gunicorn_workers_are_killed(
    make_service: MakeService, any_database: str, rounds: int
) -> None:
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="3")
    choice = random.Random(1)
    with Stream(service) as stream:
        for _ in range(max(rounds // 2, 1)):
            stream.await_more(20)
            kill_a_worker(service, choice)
        stream.await_more(20)
    service.wait_until_well()
    stream.settle()


@pytest.mark.soak
def test_everything_is_killed_and_started_again(
    make_service: MakeService, any_database: str, rounds: int
) -> None:
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="3")
    streams = []
    for _ in range(max(rounds // 15, 1)):
        with Stream(service) as stream:
            stream.await_more(200)
            service.kill()
        streams.append(stream)
        service.start()
    for stream in streams:
        stream.settle()

"""Services that several tests of this folder share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runner.marking import marks
from tests.support.servers.service import Service

_mark = marks(__file__, "processes")


class Crowds:
    """Three gunicorn processes with Redis, once for each place to keep things; started at need."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request, self._folder = request, folder
        self._running: dict[str, Service] = {}

    def on(self, place: str) -> Service:
        """Return the service on "sqlite", on "postgresql", or with its values in "kubernetes"."""
        if place not in self._running:
            self._running[place] = Service(self._folder / place, **self._settings(place)).start()
        return self._running[place]

    def _settings(self, place: str) -> dict[str, str]:
        redis_server = self._request.getfixturevalue("redis_server")
        settings = {"WEB_CONCURRENCY": "3", "REDIS_URL": redis_server.url()}
        if place != "sqlite":
            server = self._request.getfixturevalue("postgresql")
            settings["DATABASE_URL"] = server.new_database()
        if place == "kubernetes":
            settings |= self._request.getfixturevalue("kubernetes").settings()
        return settings

    def stop(self) -> None:
        """Stop all of them."""
        for service in self._running.values():
            service.stop()


@pytest.fixture(scope="session")
def crowds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crowds]:
    """The services that tests of this folder share."""
    made = Crowds(request, tmp_path_factory.mktemp("crowd"))
    yield made
    made.stop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest, crowds: Crowds) -> Service:
    """Three gunicorn processes with Redis, once for each database."""
    return crowds.on(request.param)


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "kubernetes"])
def any_crowd(request: pytest.FixtureRequest, crowds: Crowds) -> Service:
    """The same, and once more with values in Kubernetes."""
    return crowds.on(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here; races and kills take as long as there are rounds of them."""
    _mark(items)
    rounds = int(os.environ.get("FUGATA_TEST_ROUNDS", "30"))
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(300 + 20 * rounds))

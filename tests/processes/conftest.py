"""Services that several tests of this folder share."""

import os
from collections.abc import Iterator

import pytest

from tests.support.parts import RedisServer
from tests.support.service import Service


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def crowd(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
) -> Iterator[Service]:
    """Three gunicorn processes with Redis, once on SQLite and once on PostgreSQL."""
    settings = {"WEB_CONCURRENCY": "3", "REDIS_URL": redis_server.url()}
    if request.param == "postgresql":
        settings["DATABASE_URL"] = request.getfixturevalue("postgresql").new_database()
    service = Service(tmp_path_factory.mktemp("crowd") / "home", **settings).start()
    yield service
    service.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Races and kills take as long as there are rounds of them."""
    rounds = int(os.environ.get("FUGATA_TEST_ROUNDS", "30"))
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(300 + 20 * rounds))

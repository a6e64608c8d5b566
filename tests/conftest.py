"""Fixtures that every test may use: the real parts, and Fugata running on them."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from django.db.models.signals import post_migrate
from django.dispatch import receiver
from django.test import override_settings
from pytest_django.fixtures import Settings

from fugata_core.failing_requests import failing, full_disk
from tests.support.faults.faulty import FaultyProxy
from tests.support.servers.bao import BaoServer
from tests.support.servers.kubernetes import HOW, KubernetesServer, SharedKubernetesServer, assets
from tests.support.servers.parts import PostgresqlServer, RedisServer
from tests.support.servers.service import Service
from tests.support.servers.transit import TransitServer
from tests.support.servers.vault import Vault, bao

logging.getLogger("httpx").setLevel(logging.WARNING)  # or requests bury what failed

Require = Callable[[str, object], None]


class MakeService(Protocol):
    """`make_service(database="postgresql", redis=True, SETTING="value")`: a started service.

    `store="kubernetes"` keeps its values in a namespace of its own.
    """

    def __call__(
        self,
        database: str = "sqlite",
        *,
        redis: bool = False,
        store: str = "database",
        start: bool = True,
        **settings: str,
    ) -> Service: ...


@pytest.fixture(scope="session")
def require() -> Require:
    """Skip a test whose real part is missing, or fail it where none may be (CI)."""

    def check(name: str, found: object) -> None:
        if found:
            return
        if os.environ.get("FUGATA_TEST_REQUIRE_ALL"):
            pytest.fail(f"{name} is not installed, and here no test may be skipped")
        pytest.skip(f"{name} is not installed")

    return check


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often a race is run; `make soak` raises it."""
    return int(os.environ.get("FUGATA_TEST_ROUNDS", "30"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for the whole run."""
    server = PostgresqlServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server for the whole run; tests that stop it start it again."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis server that the test may stop, and give passwords and users."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def kubernetes(require: Require) -> Iterator[KubernetesServer]:
    """A Kubernetes API server for the whole run; no test stops it."""
    require(f"A Kubernetes API server ({HOW})", assets())
    started = os.environ.get("FUGATA_TEST_KUBERNETES")
    server = SharedKubernetesServer(Path(started)) if started else KubernetesServer()
    yield server
    server.close()


@pytest.fixture
def own_kubernetes(require: Require) -> Iterator[KubernetesServer]:
    """A Kubernetes API server that the test may kill and freeze."""
    require(f"A Kubernetes API server ({HOW})", assets())
    server = KubernetesServer()
    yield server
    server.close()


@pytest.fixture
def faulty(kubernetes: KubernetesServer) -> Iterator[FaultyProxy]:
    """A way to the API server that fails as the test wants it to."""
    proxy = FaultyProxy(kubernetes.url, kubernetes.authority)
    yield proxy
    proxy.close()


@pytest.fixture
def vault() -> Iterator[Vault]:
    """A Vault without keys: the OpenBao that FUGATA_BAO names, and elsewhere the stand-in."""
    server = BaoServer() if bao() else TransitServer()
    yield server
    server.close()


@pytest.fixture
def faulty_vault(vault: Vault) -> Iterator[FaultyProxy]:
    """A way to `vault` that fails as the test wants it to."""
    proxy = FaultyProxy(vault.url)
    yield proxy
    proxy.close()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Spend no second on each password of an operator; what is started in processes does."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def the_process_as_it_was() -> Iterator[None]:
    """A test changes nothing of its process that the tests after it would see."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    after = os.umask(before)
    assert after == before, "the umask was left changed"
    for failures in (failing, full_disk):
        failures.forget()


@pytest.fixture
def database_store(settings: Settings) -> None:
    """Values in the database, whatever the run keeps them in."""
    backend = "vault_app.stores.database.DatabaseStore"
    settings.VALUE_STORE = {"BACKEND": backend, "OPTIONS": {}}


@pytest.fixture
def kubernetes_namespace(kubernetes: KubernetesServer, settings: Settings) -> str:
    """Have this test's values kept in an empty namespace, with the shipped Role's rights alone."""
    name = kubernetes.new_namespace()
    configured = kubernetes.settings(name)
    settings.VALUE_STORE = {
        "BACKEND": "vault_app.stores.kubernetes.KubernetesStore",
        "OPTIONS": {"namespace": name, "kubeconfig": configured["KUBECONFIG"]},
    }
    return name


def _service(home: Path, database_url: str = "", redis_url: str = "", **settings: str) -> Service:
    settings |= {"DATABASE_URL": database_url} if database_url else {}
    settings |= {"REDIS_URL": redis_url} if redis_url else {}
    return Service(home, **settings)


@pytest.fixture
def make_service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeService]:
    """Start services of the test's own; they end with it."""
    made: list[Service] = []

    def make(
        database: str = "sqlite",
        *,
        redis: bool = False,
        store: str = "database",
        start: bool = True,
        **settings: str,
    ) -> Service:
        if store == "kubernetes":
            settings = request.getfixturevalue("kubernetes").settings() | settings
        postgresql = database == "postgresql"
        url = request.getfixturevalue("postgresql").new_database() if postgresql else ""
        redis_url = request.getfixturevalue("redis_server").url() if redis else ""
        service = _service(tmp_path / f"home{len(made)}", url, redis_url, **settings)
        made.append(service)
        return service.start() if start else service

    yield make
    for service in made:
        print(*service.complaints(), sep="\n")  # shown if the test failed
        service.stop()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The embedded default (SQLite, no Redis) for tests that leave nothing behind."""
    running = Service(tmp_path_factory.mktemp("service") / "home").start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def strict_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that lets two requests through at once, then one a second."""
    limits = {"RATE_LIMIT_RPM": "60", "RATE_LIMIT_BURST": "2"}
    running = Service(tmp_path_factory.mktemp("strict") / "home", **limits).start()
    yield running
    running.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest) -> str:
    """Run the test once for each database."""
    return str(request.param)


@pytest.fixture(scope="session")
def chromium(require: Require) -> str:
    """The path of Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    require("Chromium", path)
    assert path
    return path


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the SQLite test database in a file, so that its real locks are what is tested."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    if database["ENGINE"] == "fugata_core.sqlite":
        name = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
        database.setdefault("TEST", {})["NAME"] = name


@receiver(post_migrate)
def record_the_key(sender: object, **_: object) -> None:
    """Let an empty test database know the key that tests seal with, as `prepare` does."""
    if getattr(sender, "label", "") == "vault_app":
        from vault_app import keycheck
        from vault_app.keys.local import wrap_under

        keycheck.record_key("test", partial(wrap_under, "test", bytes(32)))


_DATABASE = {"db", "transactional_db"}
_KUBERNETES = {"kubernetes", "own_kubernetes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by its fixtures what needs a database or an API server; folders mark what they hold."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _KUBERNETES:
            item.add_marker("kubernetes")
        asks = item.get_closest_marker("django_db") or fixtures & _DATABASE
        if asks and not item.get_closest_marker("sqlite"):
            item.add_marker("database")

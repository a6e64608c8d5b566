"""The image, as deploy/Dockerfile makes it, and what runs from it."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import MakeService, Require
from tests.support.runner.marking import marks
from tests.support.servers.image import Image, build
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.kustomize import overlay
from tests.support.servers.parts import PostgresqlServer, RedisServer
from tests.support.servers.pods import Cluster, cluster, database_url
from tests.support.servers.proxy import Proxy, haproxy, proxy_of
from tests.support.servers.service import Service

pytest_collection_modifyitems = marks(__file__, "processes", "outside")

MakeProxy = Callable[..., Proxy]
MakeCluster = Callable[..., Cluster]
KEYRING = "test:" + "A" * 43 + "="


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, require: Require) -> Image:
    """What the Dockerfile makes: two minutes, for it installs everything anew."""
    require("root, for a root file system of a container's own", os.geteuid() == 0)
    folder = tmp_path_factory.mktemp("image")
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(0o755)
    before = os.umask(0o077)  # as strict as a machine that builds images may be
    try:
        return build(folder / "fugata")
    finally:
        os.umask(before)


@pytest.fixture
def make_cluster(
    image: Image,
    kubernetes: KubernetesServer,
    postgresql: PostgresqlServer,
    redis_server: RedisServer,
    tmp_path: Path,
) -> Iterator[MakeCluster]:
    """Return the pods of an overlay, over a new database and the tests' other servers."""
    made: list[Cluster] = []

    def make(name: str = "small") -> Cluster:
        url, socket = database_url(postgresql.new_database())
        given = {
            "DATABASE_URL": url,
            "REDIS_URL": redis_server.url(),
            "FUGATA_KEYS": KEYRING,
            "SECRET_KEY": secrets.token_hex(32),
            "AUDIT_KEY": secrets.token_hex(32),
        }
        folder = tmp_path / f"cluster{len(made)}"
        made.append(cluster(overlay(name), image, folder, kubernetes, given, socket))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def proxied(make_service: MakeService) -> Service:
    """The service behind `proxy`."""
    return make_service(
        "postgresql", redis=True, PUBLIC_URL="https://localhost", TRUSTED_PROXIES="127.0.0.1"
    )


@pytest.fixture
def make_proxy(tmp_path: Path, require: Require) -> Iterator[MakeProxy]:
    """Return the shipped proxy in front of a service; `places`: for requests at a time."""
    require("haproxy", haproxy())
    with ExitStack() as stack:

        def make(service: Service, places: int = 8000) -> Proxy:
            return stack.enter_context(proxy_of(service, tmp_path, places))

        yield make


@pytest.fixture
def proxy(proxied: Service, make_proxy: MakeProxy) -> Proxy:
    """The shipped proxy in front of `proxied`."""
    return make_proxy(proxied)

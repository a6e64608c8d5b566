"""Fixtures of what is particular to values in Kubernetes."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.support.faults.faulty import FaultyProxy
from tests.support.in_process.fixtures import nothing_is_being_deleted, ours, remote_store
from tests.support.in_process.stores import kubernetes_store, set_options
from tests.support.runner.marking import marks
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.service import Service
from vault_app.backends import reset_backends
from vault_app.stores.kubernetes import KubernetesStore

pytest_collection_modifyitems = marks(__file__, "kubernetes")

__all__ = ["nothing_is_being_deleted", "ours", "remote_store"]


@pytest.fixture
def store(kubernetes_namespace: str) -> KubernetesStore:
    """A store of shares' values, with nothing in it."""
    return kubernetes_store()


@pytest.fixture
def faulty_store(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    faulty: FaultyProxy,
    settings: Settings,
) -> KubernetesStore:
    """The same, whose way to the API server is `faulty`, and which is soon out of patience."""
    set_options(settings, kubeconfig=str(kubernetes.kubeconfig(url=faulty.url)), timeout=2)
    reset_backends()
    return kubernetes_store()


@pytest.fixture(scope="module")
def proxy(kubernetes: KubernetesServer) -> Iterator[FaultyProxy]:
    """A way to the API server that the module's tests let fail, and mend."""
    made = FaultyProxy(kubernetes.url, kubernetes.authority)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shaky(
    kubernetes: KubernetesServer, proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service whose way to the API server is `proxy`, and which waits for it a second."""
    settings = kubernetes.settings(url=proxy.url) | {"KUBERNETES_TIMEOUT": "1"}
    service = Service(tmp_path_factory.mktemp("shaky") / "home", **settings).start()
    yield service
    proxy.heal()
    service.stop()

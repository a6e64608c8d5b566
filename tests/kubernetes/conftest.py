"""Fixtures of what is particular to values in Kubernetes."""

import pytest
from pytest_django.fixtures import Settings

from secrets_app.vault.backends import forget
from secrets_app.vault.stores.kubernetes import KubernetesStore
from tests.support.faulty import FaultyProxy
from tests.support.kubernetes import KubernetesServer


@pytest.fixture
def store(kubernetes_namespace: str) -> KubernetesStore:
    """A store of shares' values, with nothing in it."""
    return KubernetesStore()


@pytest.fixture
def faulty_store(
    kubernetes: KubernetesServer,
    kubernetes_namespace: str,
    faulty: FaultyProxy,
    settings: Settings,
) -> KubernetesStore:
    """The same, whose way to the API server is `faulty`, and which is soon out of patience."""
    settings.KUBECONFIG = str(kubernetes.kubeconfig(url=faulty.url))
    settings.KUBERNETES_TIMEOUT = 2
    forget()
    return KubernetesStore()

"""A namespace that is wrong, or was emptied: no row goes, whatever is asked for."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from repositories_app.actions.secrets import read_secret, set_secret
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from tests.repositories_app.support import opened, people
from tests.secrets_app.support import share
from tests.support.in_process.stores import set_options
from tests.support.servers.kubernetes import ADMIN_TOKEN, KubernetesServer

pytestmark = [pytest.mark.processes, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def kept(kubernetes_namespace: str) -> None:
    """Secrets of both kinds."""
    people()
    for key in ("one", "two"):
        set_secret(opened(), key, key, SERVICE)
    share("a share")


def fsck(*arguments: str) -> str:
    out = StringIO()
    call_command("fsck", *arguments, stdout=out)
    return out.getvalue()


def counts() -> tuple[int, int]:
    return RepositorySecret.objects.count(), Share.objects.count()


def test_a_namespace_that_is_not_there(kubernetes: KubernetesServer, settings: Settings) -> None:
    right = settings.VALUE_STORE
    kubeconfig = str(kubernetes.kubeconfig(ADMIN_TOKEN))
    set_options(settings, namespace="no-such-namespace", kubeconfig=kubeconfig)
    with pytest.raises(CommandError, match=r"3 of 3 rows have no value.*has nothing of this inst"):
        fsck("--repair")
    with pytest.raises(CommandError, match=r"^3 of 3 rows have lost their value \(marked\)\. Do V"):
        fsck("--repair", "--force")
    assert counts() == (2, 1)
    settings.VALUE_STORE = right
    assert "No longer marked: value that is back, 3" in fsck("--repair")
    assert read_secret(opened(), "one", SERVICE) == b"one"


@pytest.mark.parametrize("arguments", [("--repair",), ("--repair", "--force")])
def test_a_namespace_that_was_emptied(
    kubernetes: KubernetesServer, kubernetes_namespace: str, arguments: tuple[str, ...]
) -> None:
    """Objects that come back, by a back-up of the cluster's, open as before."""
    objects = kubernetes.secrets(kubernetes_namespace)
    for each in objects:
        kubernetes.delete_secret(kubernetes_namespace, each["metadata"]["name"])
    said = "rows have lost their value" if "--force" in arguments else "Nothing was repaired"
    with pytest.raises(CommandError, match=said):
        fsck(*arguments)
    assert counts() == (2, 1)
    kubernetes.plant(kubernetes_namespace, objects)
    assert read_secret(opened(), "two", SERVICE) == b"two"


@pytest.fixture
def orphan(kubernetes: KubernetesServer, kubernetes_namespace: str) -> None:
    """Old values, and one of them whose row is gone."""
    for number in range(19):
        set_secret(opened(), f"more-{number}", "value", SERVICE)
    kubernetes.age(kubernetes_namespace)
    RepositorySecret.objects.filter(secret_key="one").delete()


@pytest.mark.usefixtures("orphan")
def test_a_value_without_row(kubernetes: KubernetesServer, kubernetes_namespace: str) -> None:
    with pytest.raises(CommandError, match=r"^value without row: 1\. manage.py fsck --repair"):
        fsck()
    assert len(kubernetes.names(kubernetes_namespace)) == 22
    assert "Deleted: value without row, 1" in fsck("--repair")
    assert len(kubernetes.names(kubernetes_namespace)) == 21


@pytest.mark.usefixtures("orphan")
def test_over_a_tenth_of_one_app_s_values_takes_force(
    kubernetes: KubernetesServer, kubernetes_namespace: str
) -> None:
    """Though it is less than a tenth of all."""
    Share.objects.all().delete()
    with pytest.raises(CommandError, match=r"^value without row: 1\. manage.py reconcile_values"):
        fsck("--repair")
    assert len(kubernetes.names(kubernetes_namespace)) == 21
    assert "Deleted: value without row, 1" in fsck("--repair", "--force")
    assert len(kubernetes.names(kubernetes_namespace)) == 20


def test_one_who_may_not_read_there_is_told_so(settings: Settings) -> None:
    set_options(settings, namespace="no-such-namespace")
    with pytest.raises(CommandError, match=r"The check broke off: .* answered 403"):
        fsck("--repair", "--force")
    assert counts() == (2, 1)

"""The checks at the start: where values are, and whether there is a way to them."""

from pathlib import Path

import pytest
from django.core import checks as django_checks
from pytest_django.fixtures import Settings

from fugata_site.checks import check_backends_load
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.service import Service
from vault_app import checks
from vault_app.checks import check_values_apart


def stored(**options: object) -> dict[str, object]:
    return {"BACKEND": "vault_app.stores.kubernetes.KubernetesStore", "OPTIONS": options}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a pod finds its own namespace's name."""
    path = tmp_path / "namespace"
    monkeypatch.setattr(checks, "OWN_NAMESPACE", path)
    return path


def test_values_in_the_pod_s_own_namespace(settings: Settings, own: Path) -> None:
    settings.VALUE_STORE = stored(namespace="fugata")
    own.write_text("fugata")
    (warning,) = check_values_apart(None)
    assert warning.id == "fugata.W001"
    assert warning.level == django_checks.WARNING
    assert "KUBERNETES_NAMESPACE" in warning.msg
    own.write_text("elsewhere")
    assert check_values_apart(None) == []


@pytest.mark.usefixtures("database_store")
def test_values_in_the_database_share_nothing(settings: Settings, own: Path) -> None:
    settings.VALUE_STORE = settings.VALUE_STORE | {"OPTIONS": {"namespace": "fugata"}}
    own.write_text("fugata")
    assert check_values_apart(None) == []


def test_outside_a_cluster_there_is_no_such_namespace(settings: Settings, own: Path) -> None:
    settings.VALUE_STORE = stored()
    assert check_values_apart(None) == []


def test_no_way_to_a_cluster(settings: Settings, tmp_path: Path) -> None:
    settings.VALUE_STORE = stored(kubeconfig=str(tmp_path / "nowhere"))
    (error,) = check_backends_load(None)
    assert error.id == "fugata.E002"
    assert "VALUE_STORE" in error.msg
    assert "KUBECONFIG" in error.msg


@pytest.mark.usefixtures("kubernetes_namespace")
def test_a_way_to_a_cluster() -> None:
    assert check_backends_load(None) == []


@pytest.mark.processes
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("KUBECONFIG", "/nowhere"),
        ("KUBERNETES_NAMESPACE", "Not_a_name"),
        ("KUBERNETES_NAMESPACE", "a" * 64),
        ("KUBERNETES_NAMESPACE", "../secrets"),
        ("KUBERNETES_TIMEOUT", "0"),
        ("KUBERNETES_TIMEOUT", "soon"),
    ],
)
def test_a_wrong_setting_stops_the_start_by_its_name(
    kubernetes: KubernetesServer, tmp_path: Path, setting: str, value: str
) -> None:
    settings = kubernetes.settings() | {setting: value}
    done = Service(tmp_path / "home", **settings).manage("check", check=False)
    assert done.returncode == 1
    assert f"{setting}: " in done.stderr

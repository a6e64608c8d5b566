"""Values that are not where VALUE_STORE looks for them: that is said, and they can be moved."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import MakeService
from tests.support.clients.keeping import Keeper, keeper
from tests.support.clients.sharing import create, open_share
from tests.support.clients.stored import query
from tests.support.servers.kubernetes import KubernetesServer
from tests.support.servers.service import Service

pytestmark = pytest.mark.processes

KEYS = ("keyring", "secret_key", "audit_key")


def failed(service: Service, *arguments: str) -> str:
    """Return what a command says that does not end well."""
    ended = service.manage(*arguments, check=False)
    assert ended.returncode == 1
    return ended.stdout + ended.stderr


def test_values_move_from_the_database(
    kubernetes: KubernetesServer, make_service: MakeService, tmp_path: Path
) -> None:
    """As docs/settings.md says: stop, back up, set VALUE_STORE, restore, fsck."""
    service, archive = make_service(), str(tmp_path / "b.tar")
    client, share = keeper(service), create(service.port, "for one")
    assert client.set("K", "value").status == 201
    service.stop()
    service.manage("backup", archive)
    service.settings |= kubernetes.settings()
    assert "The values of 2 rows are in the database, but VALUE_STORE" in failed(service, "fsck")
    service.start()
    assert "are in the database, but VALUE_STORE names another store. Until" in service.logged()
    assert client.read("K").status == 500
    service.stop()
    service.manage("restore", "--force", "--keep-one-time", archive)
    assert "All 2 rows have values" in service.manage("fsck").stdout
    service.start()
    assert client.read("K").json()["secret_value"] == "value"
    assert open_share(service.port, share).json()["content"] == "for one"
    assert service.logged().count("VALUE_STORE names another store") == 1


@pytest.fixture
def live(make_service: MakeService) -> Service:
    """A service that runs on Kubernetes."""
    return make_service(store="kubernetes")


def beside(live: Service, make_service: MakeService) -> Service:
    """Return an installation that is not started, with the other's keys and its settings."""
    other = make_service(start=False)
    other.settings |= live.settings
    other.home.mkdir()
    for name in KEYS:
        shutil.copy(live.home / name, other.home)
    return other


def test_a_drill_beside_a_service_that_runs(
    live: Service, make_service: MakeService, tmp_path: Path
) -> None:
    """Its one-time shares can be opened afterwards."""
    archive = str(tmp_path / "b.tar")
    shares = [create(live.port, f"share {number}") for number in range(3)]
    live.manage("backup", archive)
    drill = beside(live, make_service)
    said = failed(drill, "restore", archive)
    assert "The value store has 3 values of the back-up's installation already" in said
    assert [open_share(live.port, each).status for each in shares] == [200] * 3


def secrets_of(service: Service, value: str) -> Keeper:
    client = keeper(service)
    for number in range(10):
        assert client.set(f"K{number}", value).status == 201
    return client


@pytest.mark.parametrize("keys", [True, False])
def test_an_older_database_beside_a_newer_store(
    kubernetes: KubernetesServer, live: Service, make_service: MakeService, keys: bool
) -> None:
    """No value goes, however often it is forced, whether or not the keys are at hand."""
    namespace = live.settings["KUBERNETES_NAMESPACE"]
    client = secrets_of(live, "old")
    old = beside(live, make_service)
    query(live, "VACUUM INTO ?", str(old.home / "fugata.sqlite3"))
    if not keys:
        (old.home / "keyring").unlink()
        old.settings["FUGATA_KEYS"] = "other:" + "B" * 43 + "="
    for number in range(10):
        assert client.set(f"K{number}", "new").status == 201
    kubernetes.age(namespace)
    before = kubernetes.names(namespace)
    for arguments in (
        ("fsck", "--repair", "--force"),
        ("fsck", "--repair", "--force"),
        ("reconcile_values", "--force"),
    ):
        assert "more than a tenth" in failed(old, *arguments)
        assert kubernetes.names(namespace) == before
    assert "All 10 rows have values" in live.manage("fsck").stdout

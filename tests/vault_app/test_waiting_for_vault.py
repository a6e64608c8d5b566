"""A start that waits for the key service, and the move from one Vault to another."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from tests.secrets_app.support import share
from tests.support.faults.faulty import FaultyProxy
from tests.support.servers.transit import TransitServer
from tests.support.servers.vault import Vault
from tests.vault_app.support import VAULT, as_a_new_process, run, use_new_vault, use_vault
from vault_app import rewrap, rotation, versions
from vault_app.models import KeyEncryptionKey

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def vaulted(settings: Settings, vault: Vault, tmp_path: Path) -> None:
    settings.KEYRING_FILE = tmp_path / "keyring"
    use_new_vault(settings, vault)


# --- Waiting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [["--check-only"], []])
def test_a_start_waits_for_vault(
    settings: Settings, vault: Vault, faulty_vault: FaultyProxy, how: list[str]
) -> None:
    use_vault(settings, vault, address=faulty_vault.url)
    faulty_vault.fail("answer", status=503, body=b'{"errors":["Vault is sealed"]}')
    with pytest.raises(CommandError, match="Vault is sealed"):
        run("prepare", *how)
    faulty_vault.fail("answer", status=503, body=b'{"errors":["Vault is sealed"]}')

    def heal() -> None:
        faulty_vault.wait_until_triggered(3)
        faulty_vault.heal()

    healer = threading.Thread(target=heal)
    healer.start()
    run("prepare", *how, "--wait", "60")
    healer.join()


def test_a_start_does_not_wait_for_what_will_not_pass(settings: Settings, vault: Vault) -> None:
    use_vault(settings, vault, token="hvs.Wrong0002")
    before = vault.count("decrypt")
    with pytest.raises(CommandError, match="VAULT_TOKEN"):
        run("prepare", "--check-only", "--wait", "60")
    assert vault.count("decrypt") == before + 1


def test_a_start_waits_for_a_file_that_an_agent_will_write(
    settings: Settings, vault: Vault, tmp_path: Path
) -> None:
    file, token = tmp_path / "token", vault.new_token(["one"])
    use_vault(settings, vault, token_file=str(file))
    with pytest.raises(CommandError, match="VAULT_TOKEN_FILE"):
        run("prepare", "--check-only")
    agent = threading.Timer(0.3, file.write_text, [token])
    agent.start()
    run("prepare", "--check-only", "--wait", "60")


# --- Moving --------------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[TransitServer]:
    with TransitServer("one") as server:
        yield server


def test_from_one_vault_to_another_and_back(
    settings: Settings, vault: Vault, other: TransitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have a key of the same name at the same mount."""
    monkeypatch.setattr(versions, "longest_request", timedelta)
    for name in ("SETTLE", "PASS_PAUSE"):
        monkeypatch.setattr(rewrap, name, 0.0)
    monkeypatch.setattr(rotation, "GRACE", 0)
    created = [share(f"s3cret {n}", one_time=False) for n in range(4)]
    first, second = settings.KMS_PROVIDER, _second(other)
    settings.KEY_PROVIDERS = settings.KEY_PROVIDERS | {"vault2": second}
    settings.KMS_PROVIDER = second
    _open_all(created)
    told = json.loads(run("migrate_keys", "--from", "vault", "--to", "vault2", "--json"))
    assert (told["moved"], told["left"], told["retirable"]) == (4, 0, ["vault:transit/one"])
    run("retire_key", "vault:transit/one")
    settings.KEY_PROVIDERS = {"local": settings.KEY_PROVIDERS["local"], "vault2": second}
    vault.delete_key("one")
    as_a_new_process()
    _open_all(created)
    vault.add_key("one")
    settings.KEY_PROVIDERS = settings.KEY_PROVIDERS | {"vault": first}
    settings.KMS_PROVIDER = first
    assert (
        json.loads(run("migrate_keys", "--from", "vault2", "--to", "vault", "--json"))["moved"] == 4
    )
    _open_all(created)
    assert set(KeyEncryptionKey.objects.values_list("id", flat=True)) == {
        "vault:transit/one",
        "vault2:transit/one",
    }


def test_versions_of_the_second_vault_count_too(
    settings: Settings, other: TransitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "longest_request", timedelta)
    for name in ("SETTLE", "PASS_PAUSE"):
        monkeypatch.setattr(rewrap, name, 0.0)
    second = _second(other)
    settings.KEY_PROVIDERS = settings.KEY_PROVIDERS | {"vault2": second}
    settings.KMS_PROVIDER = second
    run("prepare")
    share("s3cret")
    other.rotate("one")
    assert "safe to raise min_decryption_version of vault2:transit/one to 2" in run(
        "rewrap_keys", "--all"
    )


def _second(other: TransitServer) -> dict[str, Any]:
    access = {"address": other.url, "token": other.new_token(["one"])}
    return {
        "BACKEND": VAULT,
        "OPTIONS": access | {"keys": ["one"], "name": "vault2", "setting": "VAULT2_"},
    }


def _open_all(created: list[Any]) -> None:
    for n, one in enumerate(created):
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {n}".encode()

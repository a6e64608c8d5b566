"""Versions of a key in Vault: how many data keys each wraps, and when an old one can go."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from secrets_app.actions.create import CreatedShare
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import row_of, share
from tests.support.in_process.doubles import MemoryStore, backend
from tests.support.servers.vault import Vault
from tests.vault_app.support import as_a_new_process, run, told, use_new_vault
from vault_app import keycheck, rewrap, tasks, versions
from vault_app.backends import key_provider
from vault_app.keys import wrapped_key
from vault_app.management import rewrapping
from vault_app.models import KeyEncryptionKey
from vault_app.versions import data_keys_by_version, longest_request

pytestmark = pytest.mark.django_db

KEY = "vault:transit/one"


@pytest.fixture(autouse=True)
def vaulted(settings: Settings, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A service whose keys are in Vault; nobody waits for other processes."""
    monkeypatch.setattr(rewrap, "PASS_PAUSE", 0.0)
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    monkeypatch.setattr(versions, "longest_request", timedelta)
    use_new_vault(settings, vault)
    return vault


def shares(count: int) -> list[CreatedShare]:
    return [share(f"s3cret {number}") for number in range(count)]


def open_all(created: list[CreatedShare]) -> None:
    for number, one in enumerate(created):
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {number}".encode()


def check_version() -> int | None:
    return wrapped_key.version_of(bytes(KeyEncryptionKey.objects.get(id=KEY).check_value))


@pytest.mark.parametrize("trimmed", [False, True])
def test_the_documented_steps_lose_nothing(vaulted: Vault, trimmed: bool) -> None:
    """Rotate, re-wrap all, raise the minimum, start: as docs/keys.md has it."""
    created = shares(3)
    vaulted.rotate("one")
    said = run("rewrap_keys", "--all", "--batch", "2")
    assert f"It is safe to raise min_decryption_version of {KEY} to 2" in said
    vaulted.raise_minimum("one", 2)
    if trimmed:
        vaulted.trim("one", 2)
    as_a_new_process()
    assert "the keys are at hand" in run("fsck")
    open_all(created)


def test_what_each_version_wraps_is_listed(vaulted: Vault) -> None:
    shares(2)
    vaulted.rotate("one")
    shares(1)
    (key,) = told("list_keys")["keys"]
    assert key["versions"] == {"1": 2, "2": 1}
    assert (key["check_value_version"], key["lowest_version"]) == (1, 1)
    listed = run("list_keys")
    assert "version 1: 2 data keys, and its check value" in listed
    assert "version 2: 1 data keys\n" in listed
    assert "min_decryption_version can be raised to 1, not further" in listed


def test_the_check_value_alone_keeps_a_version(vaulted: Vault) -> None:
    vaulted.rotate("one")
    shares(1)
    assert told("list_keys")["keys"][0]["lowest_version"] == 1
    run("rewrap_keys", "--all")
    assert told("list_keys")["keys"][0]["lowest_version"] == check_version() == 2


def test_an_upgrade_has_the_check_value_sealed_anew(vaulted: Vault) -> None:
    vaulted.rotate("one")
    run("prepare")
    assert check_version() == 2
    vaulted.raise_minimum("one", 2)
    as_a_new_process()


def test_only_older_versions_are_asked_for(vaulted: Vault) -> None:
    """So a run that broke off goes on, and does not begin anew."""
    shares(5)
    vaulted.rotate("one")
    next(rewrap.rewrap(batch=2, versions=True))
    assert data_keys_by_version(KEY) == {1: 3, 2: 2}
    before = vaulted.count("decrypt")
    assert told("rewrap_keys", "--all")["moved"] == 3
    assert vaulted.count("decrypt") - before < 3 + 4  # and the checks of the keys
    assert told("rewrap_keys", "--all")["moved"] == 0


def test_what_is_written_meanwhile_is_waited_for(
    vaulted: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that began before the rotation may write its row after all the others moved."""
    shares(1)
    late = share("s3cret 1")
    row = row_of(late)
    Share.objects.filter(pk=row.pk).delete()

    vaulted.rotate("one")
    monkeypatch.setattr(versions, "longest_request", lambda: timedelta(seconds=60))
    wait = lambda seconds: Share.objects.bulk_create([row] if seconds else [])  # noqa: E731
    monkeypatch.setattr(rewrapping, "time", SimpleNamespace(sleep=wait))
    assert told("rewrap_keys", "--all") == {
        "primary": KEY,
        "moved": 2,
        "damaged": 0,
        "left": 0,
        "lowest_version": 2,
    }


def test_nothing_is_safe_while_requests_may_be_under_way(
    vaulted: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "longest_request", lambda: timedelta(seconds=60))
    monkeypatch.setattr("vault_app.tasks.rewrap_keys.delay", lambda: None)
    shares(2)
    vaulted.rotate("one")
    run("rewrap_keys", "--all", "--background")
    assert tasks.rewrap_keys() == 2
    listed = run("list_keys")
    assert "requests may still write what an older version wrapped, until" in listed
    assert "can be raised" not in listed
    assert KeyEncryptionKey.objects.filter(rewrap_versions=True).exists(), "it looks again"
    monkeypatch.setattr(versions, "longest_request", timedelta)
    assert tasks.rewrap_keys() == 0
    assert "can be raised to 2, not further" in run("list_keys")
    assert not KeyEncryptionKey.objects.filter(rewrap_versions=True).exists()


def test_how_long_a_request_may_take(vaulted: Vault, settings: Settings) -> None:
    seconds = longest_request().total_seconds()
    assert seconds >= key_provider().timeout + settings.DATABASE_TIMEOUT
    settings.VALUE_STORE = backend(MemoryStore()) | {"OPTIONS": {"timeout": 10}}
    assert longest_request().total_seconds() == seconds + 10


def test_in_the_background_too(vaulted: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault_app.tasks.rewrap_keys.delay", lambda: None)
    created = shares(3)
    vaulted.rotate("one")
    assert told("rewrap_keys", "--all", "--background")["left"] == 3
    assert data_keys_by_version(KEY) == {1: 3}
    vaulted.rotate("one")  # before the worker is at it
    assert tasks.rewrap_keys() == 3
    assert told("list_keys")["keys"][0]["lowest_version"] == 3
    assert not KeyEncryptionKey.objects.filter(rewrap_versions=True).exists()
    vaulted.raise_minimum("one", 3)
    as_a_new_process()
    open_all(created)


def test_a_plain_request_does_not_undo_one_for_all_versions(vaulted: Vault) -> None:
    shares(1)
    vaulted.rotate("one")
    rewrap.request_rewrap(versions=True)
    rewrap.request_rewrap()
    assert rewrap.run_requested(60) == 1
    vaulted.rotate("one")
    rewrap.request_rewrap()
    assert rewrap.run_requested(60) == 0


def test_all_in_the_background_needs_versions(settings: Settings) -> None:
    settings.KMS_PROVIDER = settings.KEY_PROVIDERS["local"]
    with pytest.raises(CommandError, match="Leave --background out"):
        run("rewrap_keys", "--all", "--background")


# --- The minimum was raised too early ------------------------------------------------------------


@pytest.mark.parametrize("trimmed", [False, True])
def test_a_check_value_that_is_left_behind(vaulted: Vault, trimmed: bool) -> None:
    """As an older version of Fugata left it: values open, and the start says what helps."""
    created = shares(2)
    left_behind = bytes(KeyEncryptionKey.objects.get(id=KEY).check_value)
    vaulted.rotate("one")
    list(rewrap.rewrap_all())
    KeyEncryptionKey.objects.filter(id=KEY).update(check_value=left_behind)
    vaulted.raise_minimum("one", 2)
    if trimmed:
        vaulted.trim("one", 2)
    with pytest.raises(CommandError, match=r"No value is: run manage.py rewrap_keys --all"):
        run("prepare", "--check-only")
    with pytest.raises(CommandError, match="does not pass its check"):
        run("fsck")
    run("rewrap_keys", "--all")
    as_a_new_process()
    open_all(created)


def test_values_that_are_left_behind(vaulted: Vault) -> None:
    """They are told, and open again once the minimum is lowered; the others are re-wrapped."""
    created = shares(2)
    vaulted.rotate("one")
    vaulted.rotate("one")
    last = share("s3cret 2")
    keycheck.renew_check_value()
    vaulted.raise_minimum("one", 3)
    as_a_new_process()
    with pytest.raises(CommandError, match="key missing: 2"):
        run("fsck")
    with pytest.raises(CommandError, match="2 data keys are under a version"):
        run("rewrap_keys", "--all")
    vaulted.raise_minimum("one", 1)
    assert told("rewrap_keys", "--all")["moved"] == 2
    vaulted.raise_minimum("one", 3)
    open_all([*created, last])


def test_values_and_check_value_that_are_left_behind(vaulted: Vault) -> None:
    shares(1)
    vaulted.rotate("one")
    vaulted.raise_minimum("one", 2)
    with pytest.raises(CommandError, match=r"config min_decryption_version=1") as raised:
        run("prepare", "--check-only")
    assert "rewrap_keys --all" in str(raised.value)
    with pytest.raises(CommandError, match="min_decryption_version=1"):
        run("rewrap_keys", "--all")


def test_another_key_of_the_same_name_gets_no_new_check_value(vaulted: Vault) -> None:
    shares(1)
    vaulted.delete_key("one")
    vaulted.add_key("one")
    vaulted.rotate("one")
    with pytest.raises(CommandError, match=KEY):
        run("rewrap_keys", "--all")
    assert check_version() == 1


def test_versions_count_across_tables_and_damage(vaulted: Vault) -> None:
    shares(1)
    header = wrapped_key.header(KEY)
    Share.objects.update(wrapped_key=header + (7).to_bytes(4) + b"x" * 40)
    assert data_keys_by_version(KEY) == {7: 1}


def test_versions_compare_as_numbers() -> None:
    """Version 10 is newer than 9, and 256 than 255."""
    header = wrapped_key.header(KEY)
    for number in (9, 10, 255, 256):
        share(f"s3cret {number}")
        newest = Share.objects.order_by("-created_at", "-pk").first()
        assert newest
        Share.objects.filter(pk=newest.pk).update(
            wrapped_key=header + number.to_bytes(4) + b"x" * 40
        )
    older = rewrap.Outdated(KEY, (), newest=256)
    assert older.count() == 3
    assert rewrap.Outdated(KEY, (), newest=10).count() == 1


@pytest.fixture(autouse=True)
def own_home(settings: Settings, tmp_path: Path) -> None:
    """No keyring of the tests' home is looked at."""
    settings.KEYRING_FILE = tmp_path / "keyring"

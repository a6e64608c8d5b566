"""The commands for keys: what they do, what they say, and what they refuse."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from kombu.exceptions import OperationalError
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import row_of, share
from tests.support.in_process.keys import use_keys
from tests.support.servers.transit import TOKEN, TransitKey, TransitServer
from tests.vault_app.support import A, B, as_a_new_process, run, told, use_keyring_file
from vault_app import keycheck, rewrap, rotation, versions
from vault_app.backends import reset_backends
from vault_app.keys.keyring import KeyringFile
from vault_app.models import KeyEncryptionKey

pytestmark = pytest.mark.django_db

VAULT = "vault_app.keys.vault.VaultTransit"


@pytest.fixture(autouse=True)
def keyring(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyringFile:
    """A keyring file with the key `old`; nobody waits for other processes."""
    path = tmp_path / "keyring"
    use_keyring_file(settings, path, monkeypatch)
    monkeypatch.setattr(rewrap, "PASS_PAUSE", 0.0)
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    monkeypatch.setattr(versions, "longest_request", timedelta)
    monkeypatch.setattr(rotation, "GRACE", 0)
    return KeyringFile(path)


@pytest.fixture
def transit() -> Iterator[TransitServer]:
    with TransitServer("one") as server:
        yield server


class Terminal(StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def by_key() -> dict[str, int]:
    return {key["id"]: key["needed_by"] for key in told("list_keys")["keys"]}


# --- rotate_key ----------------------------------------------------------------------------------


def test_rotate_list_and_retire(keyring: KeyringFile) -> None:
    created = [share(f"s3cret {n}") for n in range(3)]
    said = run("rotate_key")
    new = next(iter(keyring.keys()))
    assert f"Key {new} is the primary now" in said
    assert f"3 data keys re-wrapped under {new}." in said
    assert by_key() == {"old": 0, new: 3}
    listed = run("list_keys")
    assert "can be retired" in listed
    assert "primary" in listed
    assert f"old is retired, and moved from the keyring file to {keyring.retired}." in run(
        "retire_key", "old"
    )
    assert by_key() == {new: 3}
    as_a_new_process()
    for n, one in enumerate(created):
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {n}".encode()


def test_json(keyring: KeyringFile) -> None:
    share("s3cret")
    answer = told("rotate_key", "--batch", "1")
    new = next(iter(keyring.keys()))
    assert answer == {"new_key": new, "primary": new, "moved": 1, "damaged": 0, "left": 0}
    keys = told("list_keys")["keys"]
    assert [(key["id"], key["provider"], key["primary"]) for key in keys] == [
        ("old", "local", False),
        (new, "local", True),
    ]
    assert keys[1]["rows"]["secrets_app.Share"] == keys[1]["needed_by"] == 1
    assert told("retire_key", "old") == {
        "retired": "old",
        "removed_from_keyring": True,
        "moved_to": str(keyring.retired),
    }


def test_no_key_is_ever_said(keyring: KeyringFile) -> None:
    share("s3cret")
    said = run("rotate_key") + run("list_keys") + run("rewrap_keys") + run("retire_key", "old")
    for key in (*keyring.keys().values(), b"A" * 32):
        assert base64.b64encode(key).decode() not in said


def test_an_unfinished_rotation_is_finished_first(keyring: KeyringFile) -> None:
    for _ in range(3):
        share("s3cret")
    new = rotation.make_primary()
    next(rewrap.rewrap(batch=1))
    said = run("rotate_key")
    assert "finishing that rotation" in said
    assert "2 data keys re-wrapped" in said
    assert list(keyring.keys()) == [new, "old"]
    assert told("rotate_key")["new_key"] not in (None, new)


def test_progress_is_shown_at_a_terminal() -> None:
    for _ in range(4):
        share("s3cret")
    terminal = Terminal()
    call_command("rotate_key", "--batch", "2", stdout=StringIO(), stderr=terminal)
    assert "\r[############............] 2 of 4 data keys re-wrapped" in terminal.getvalue()
    assert "\r[########################] 4 of 4 data keys re-wrapped" in terminal.getvalue()


def test_keys_of_the_environment_are_explained(settings: Settings) -> None:
    use_keys(settings, f"old:{A}")
    with pytest.raises(CommandError, match="FUGATA_KEYS") as raised:
        run("rotate_key")
    assert "rewrap_keys" in str(raised.value)
    share("s3cret")
    use_keys(settings, f"new:{B},old:{A}")
    assert told("rewrap_keys")["moved"] == 1
    assert by_key() == {"old": 0, "new": 1}
    assert "take it out of the settings" in run("retire_key", "old")
    use_keys(settings, f"new:{B}")
    as_a_new_process()


def test_a_wrong_keyring_is_not_rotated(keyring: KeyringFile) -> None:
    keyring.write({"old": b"B" * 32})
    reset_backends()
    with pytest.raises(CommandError, match="Restore it"):
        run("rotate_key")
    assert list(keyring.keys()) == ["old"]


def test_a_key_that_was_taken_out_and_not_retired_is_named(keyring: KeyringFile) -> None:
    new = rotation.make_primary()
    keyring.write({new: keyring.keys()[new]})
    reset_backends()
    with pytest.raises(CommandError, match=r"No value needs it.* retire_key old"):
        run("rotate_key")
    run("retire_key", "old")
    assert told("rotate_key")["new_key"]


def test_a_keyring_that_can_not_be_written(
    keyring: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(KeyringFile, "write", refuse)
    with pytest.raises(CommandError, match="can't be written"):
        run("rotate_key")


def test_a_keyring_that_broke_since_the_start_is_named(keyring: KeyringFile) -> None:
    assert told("rotate_key")["new_key"]
    keyring.path.write_text(f"old:{A}\nold:{B}\n")
    for command in (["rotate_key"], ["retire_key", "old"]):
        with pytest.raises(CommandError, match=f"^{keyring.path}, line 2: an id is there twice"):
            run(*command)


def test_damaged_rows_are_told() -> None:
    created = share("s3cret")
    Share.objects.filter(pk=row_of(created).pk).update(wrapped_key=b"\1\3old" + b"x" * 60)
    with pytest.raises(CommandError, match="1 data keys do not open"):
        run("rotate_key")


def test_a_process_that_goes_on_with_the_old_key_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    share("s3cret")
    monkeypatch.setattr(rewrap, "_write", lambda *_: 0)
    monkeypatch.setattr(rewrap, "MAX_PASSES", 2)
    with pytest.raises(CommandError, match="still under another key"):
        run("rotate_key")


# --- In the background ---------------------------------------------------------------------------


def test_in_the_background(monkeypatch: pytest.MonkeyPatch, keyring: KeyringFile) -> None:
    sent: list[int] = []
    monkeypatch.setattr("vault_app.tasks.rewrap_keys.delay", lambda: sent.append(1))
    share("s3cret")
    answer = told("rotate_key", "--background")
    new = next(iter(keyring.keys()))
    assert answer == {"new_key": new, "primary": new, "background": True, "left": 1}
    assert sent == [1]
    assert [key["rewrap_asked"] for key in told("list_keys")["keys"]] == [False, True]
    rewrap.run_requested(60)
    assert by_key() == {"old": 0, new: 1}
    assert not any(key["rewrap_asked"] for key in told("list_keys")["keys"])


def test_in_the_background_with_the_queue_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat asks the worker every minute, so nothing is lost."""

    def away() -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr("vault_app.tasks.rewrap_keys.delay", away)
    share("s3cret")
    rotation.make_primary()
    assert "list_keys shows how far" in run("rewrap_keys", "--background")
    rewrap.run_requested(60)
    assert sorted(by_key().values()) == [0, 1]


# --- migrate_keys --------------------------------------------------------------------------------


def vault_beside_local(settings: Settings, server: TransitServer, chosen: str) -> None:
    vault = {"BACKEND": VAULT, "OPTIONS": {"keys": ["one"], "address": server.url, "token": TOKEN}}
    settings.KEY_PROVIDERS = {"local": settings.KEY_PROVIDERS["local"], "vault": vault}
    settings.KMS_PROVIDER = settings.KEY_PROVIDERS[chosen]


def test_to_vault_and_back(
    settings: Settings, transit: TransitServer, keyring: KeyringFile
) -> None:
    created = [share(f"s3cret {n}", one_time=False) for n in range(10)]
    vault_beside_local(settings, transit, "vault")
    for n, one in enumerate(created):  # before it is moved
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {n}".encode()
    answer = told("migrate_keys", "--from", "local", "--to", "vault")
    assert (answer["moved"], answer["left"], answer["retirable"]) == (10, 0, ["old"])
    assert by_key() == {"old": 0, "vault:transit/one": 10}
    run("retire_key", "old")
    assert keyring.keys() == {}
    as_a_new_process()
    for n, one in enumerate(created):
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {n}".encode()
    keyring.write({"again": b"C" * 32})
    vault_beside_local(settings, transit, "local")
    assert told("migrate_keys", "--from", "vault", "--to", "local")["moved"] == 10
    assert "take it out" in run("retire_key", "vault:transit/one")
    settings.KEY_PROVIDERS = {"local": settings.KEY_PROVIDERS["local"]}
    as_a_new_process()
    assert reveal_share(created[0].share_id, SERVICE).content == b"s3cret 0"


def test_a_migration_goes_on_where_it_ended(settings: Settings, transit: TransitServer) -> None:
    for _ in range(4):
        share("s3cret")
    vault_beside_local(settings, transit, "vault")
    keycheck.verify()
    next(rewrap.rewrap("local", batch=3))
    assert told("migrate_keys", "--from", "local", "--to", "vault")["moved"] == 1


def test_vault_goes_away_in_the_middle(
    settings: Settings, transit: TransitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        share("s3cret")
    vault_beside_local(settings, transit, "vault")
    keycheck.verify()
    move = rewrap._rewrap_batch

    def and_then_away(*arguments: Any) -> rewrap.Batch:
        done = move(*arguments)
        transit.tokens.clear()
        return done

    with monkeypatch.context() as patch:
        patch.setattr(rewrap, "_rewrap_batch", and_then_away)
        with pytest.raises(CommandError, match="2 data keys were re-wrapped, then"):
            run("migrate_keys", "--from", "local", "--to", "vault", "--batch", "2")
    transit.tokens.add(TOKEN)
    assert told("migrate_keys", "--from", "local", "--to", "vault")["moved"] == 2


def test_a_migration_that_can_not_work_is_refused(
    settings: Settings, transit: TransitServer
) -> None:
    vault_beside_local(settings, transit, "local")
    with pytest.raises(CommandError, match="KMS_PROVIDER: must be vault"):
        run("migrate_keys", "--from", "local", "--to", "vault")
    with pytest.raises(CommandError, match="must differ"):
        run("migrate_keys", "--from", "local", "--to", "local")


def test_what_an_old_provider_wrapped_needs_its_settings(
    settings: Settings, transit: TransitServer
) -> None:
    """Found at the start, not at the first read."""
    vault_beside_local(settings, transit, "vault")
    keycheck.verify()
    settings.KEY_PROVIDERS = {"local": settings.KEY_PROVIDERS["local"]}
    settings.KMS_PROVIDER = settings.KEY_PROVIDERS["local"]
    with pytest.raises(CommandError, match="VAULT_TRANSIT_KEY must list it"):
        call_command("prepare", check_only=True)


@pytest.mark.parametrize("broken", ["token", "key", "other key"])
def test_a_wrong_vault_is_found_at_the_start(
    settings: Settings, transit: TransitServer, broken: str
) -> None:
    vault_beside_local(settings, transit, "vault")
    keycheck.verify()
    if broken == "token":
        transit.tokens.clear()
    elif broken == "key":
        transit.keys.clear()
    else:  # another key of the same name
        transit.keys["one"] = TransitKey()
    with pytest.raises(CommandError, match="vault:transit/one") as raised:
        call_command("prepare", check_only=True)
    assert TOKEN not in str(raised.value)


def test_vault_keys_are_not_ours_to_rotate(settings: Settings, transit: TransitServer) -> None:
    vault_beside_local(settings, transit, "vault")
    with pytest.raises(CommandError, match="VAULT_TRANSIT_KEY"):
        run("rotate_key")


def test_a_new_version_in_vault(settings: Settings, transit: TransitServer) -> None:
    """`rewrap_keys --all` brings everything under it, so that the old version can go."""
    vault_beside_local(settings, transit, "vault")
    keycheck.verify()
    created = [share(f"s3cret {n}") for n in range(3)]
    transit.rotate("one")
    assert told("rewrap_keys")["moved"] == 0
    assert told("rewrap_keys", "--all", "--batch", "2")["moved"] == 3
    transit.keys["one"].min_decryption_version = 2
    for n, one in enumerate(created):
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {n}".encode()


# --- retire_key ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key_id", "says"), [("old", "primary key"), ("nobody", "no key of that id")]
)
def test_what_is_not_retired(key_id: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run("retire_key", key_id)


def test_a_key_that_this_database_does_not_know_is_not_retired(keyring: KeyringFile) -> None:
    keyring.write({**keyring.keys(), "another": b"C" * 32})
    with pytest.raises(CommandError, match=f"DATABASE_URL.*{keyring.path} by hand"):
        run("retire_key", "another")


def test_a_key_in_use_is_not_retired() -> None:
    share("s3cret")
    rotation.make_primary()
    KeyEncryptionKey.objects.update(created_at=Now() - timedelta(seconds=60))
    with pytest.raises(CommandError, match="1 data keys are under it"):
        run("retire_key", "old")

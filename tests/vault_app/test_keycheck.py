"""The key check: a database's keys are recorded once, and missed when they are gone."""

import base64
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models.signals import post_migrate
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from secrets_app.actions.reveal import reveal_share
from tests.conftest import record_the_key
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore, backend
from tests.support.in_process.keys import use_keyring, use_keys
from vault_app import keycheck, rewrap, rotation
from vault_app.keycheck import KeyCheckFailed
from vault_app.models import KeyEncryptionKey, StoredValue

pytestmark = pytest.mark.django_db

A, B = (base64.b64encode(bytes([byte]) * 32).decode() for byte in b"AB")


@pytest.fixture(autouse=True)
def new_database(db: None) -> Iterator[None]:
    """Forget the key that the other tests' database knows."""
    KeyEncryptionKey.objects.all().delete()
    post_migrate.disconnect(record_the_key)
    yield
    post_migrate.connect(record_the_key)


def recorded() -> set[str]:
    return set(KeyEncryptionKey.objects.values_list("id", flat=True))


def test_the_first_use_records_the_key(settings: Settings) -> None:
    use_keys(settings, f"one:{A},two:{B}")
    assert keycheck.is_new()
    keycheck.verify()
    assert not keycheck.is_new()
    assert recorded() == {"one"}


def test_the_same_key_passes(settings: Settings) -> None:
    use_keys(settings, f"one:{A}")
    keycheck.verify()
    before = KeyEncryptionKey.objects.get()
    keycheck.verify()
    assert bytes(KeyEncryptionKey.objects.get().check_value) == bytes(before.check_value)


def test_the_check_value_does_not_hold_the_key(settings: Settings) -> None:
    use_keys(settings, f"one:{A}")
    keycheck.verify()
    assert base64.b64decode(A) not in bytes(KeyEncryptionKey.objects.get().check_value)


@pytest.mark.parametrize(
    "ring", [f"one:{B}", f"two:{A}", f"two:{B}"], ids=["other", "renamed", "lost"]
)
def test_another_or_a_lost_key_refuses(settings: Settings, ring: str) -> None:
    use_keys(settings, f"one:{A}")
    keycheck.verify()
    use_keys(settings, ring)
    with pytest.raises(KeyCheckFailed) as raised:
        keycheck.verify()
    sentence = str(raised.value)
    assert "'one'" in sentence
    assert "FUGATA_KEYS" in sentence
    assert ("retire_key" in sentence) == ring.startswith("two")
    assert A not in sentence
    assert B not in sentence
    assert recorded() == {"one"}


def test_a_new_first_key_is_recorded_beside_the_old(settings: Settings) -> None:
    use_keys(settings, f"old:{A}")
    keycheck.verify()
    use_keys(settings, f"new:{B},old:{A}")
    keycheck.verify()
    assert recorded() == {"new", "old"}
    use_keys(settings, f"new:{B}")
    with pytest.raises(KeyCheckFailed, match="old"):
        keycheck.verify()


def rotate_by_hand(settings: Settings) -> None:
    """Have a share under `old`, and put `new` in front of it."""
    use_keys(settings, f"old:{A}")
    keycheck.verify()
    share("s3cret")
    use_keys(settings, f"new:{B},old:{A}")
    keycheck.verify()


def test_a_key_that_nothing_needs_any_more_is_to_be_retired(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate_by_hand(settings)
    list(rewrap.rewrap())
    use_keys(settings, f"new:{B}")
    with pytest.raises(
        KeyCheckFailed, match=r"No value needs it.* manage\.py retire_key old"
    ) as raised:
        keycheck.verify()
    assert "sealed" not in str(raised.value)
    monkeypatch.setattr(rotation, "GRACE", 0)
    rotation.retire("old")
    keycheck.verify()
    assert recorded() == {"new"}


def test_of_several_keys_one_is_named_that_rows_need(settings: Settings) -> None:
    rotate_by_hand(settings)
    for key_id in ("a", "z"):
        lost = b"\x01\x01" + key_id.encode() + bytes(60)
        KeyEncryptionKey.objects.create(id=key_id, check_value=lost)
    KeyEncryptionKey.objects.filter(id="a").update(created_at=datetime(2001, 1, 1, tzinfo=UTC))
    use_keys(settings, f"new:{B}")
    with pytest.raises(KeyCheckFailed, match="holds values sealed under key 'old'") as raised:
        keycheck.verify()
    assert "retire_key" not in str(raised.value)


def test_no_key_at_all_refuses(settings: Settings, tmp_path: Path) -> None:
    use_keyring(settings, tmp_path / "keyring")
    with pytest.raises(KeyCheckFailed, match="No key"):
        keycheck.verify()
    assert recorded() == set()


@pytest.fixture
def keyring(settings: Settings, tmp_path: Path) -> Path:
    """A keyring file that is not there yet."""
    path = tmp_path / "home" / "keyring"
    use_keyring(settings, path)
    return path


def prepare(check_only: bool = False) -> str:
    said = StringIO()
    call_command("prepare", check_only=check_only, stdout=said)
    return said.getvalue()


def test_prepare_makes_a_keyring_for_a_new_database(keyring: Path) -> None:
    said = prepare()
    assert str(keyring) in said
    assert keyring.read_text().strip() not in said
    assert stat.S_IMODE(keyring.stat().st_mode) == 0o600
    assert len(recorded()) == 1


def test_prepare_says_that_values_are_elsewhere(settings: Settings) -> None:
    """In one line, at each start: else only the console tells, while all reads fail."""
    prepare()
    share()
    settings.VALUE_STORE = backend(MemoryStore())
    for check_only in (True, False):
        (line,) = prepare(check_only=check_only).splitlines()
        assert line.startswith("The value of 1 row is in the database, but VALUE_STORE names")
    StoredValue.objects.all().delete()
    assert prepare() == ""


def test_prepare_twice_changes_nothing(keyring: Path) -> None:
    prepare()
    made = keyring.read_text()
    assert prepare() == ""
    assert keyring.read_text() == made


def test_prepare_refuses_where_the_keyring_is_lost(keyring: Path) -> None:
    prepare()
    keyring.unlink()
    forget_what_was_loaded()
    with pytest.raises(CommandError) as raised:
        prepare()
    assert str(keyring) in str(raised.value)
    assert "Restore it" in str(raised.value)
    assert "retire_key" not in str(raised.value), "there is no other key to go on with"
    assert not keyring.exists()


@pytest.mark.parametrize("key_id", ["lost", "own:lost"])
def test_the_remedy_for_a_key_of_no_known_service(keyring: Path, key_id: str) -> None:
    prepare()
    lost = b"\x01" + bytes([len(key_id)]) + key_id.encode() + bytes(60)
    KeyEncryptionKey.objects.create(id=key_id, check_value=lost)
    with pytest.raises(CommandError, match=f"put the keyring file back at {keyring}"):
        prepare()


def test_prepare_refuses_another_keyring(keyring: Path) -> None:
    prepare()
    keyring.write_text(f"other:{A}\n")
    forget_what_was_loaded()
    with pytest.raises(CommandError, match="Restore it"):
        prepare()


def test_a_restored_keyring_opens_what_was_sealed(keyring: Path) -> None:
    prepare()
    kept, created = keyring.read_text(), share("s3cret")
    keyring.unlink()
    forget_what_was_loaded()
    with pytest.raises(CommandError):
        prepare()
    keyring.write_text(kept)
    forget_what_was_loaded()
    prepare()
    assert reveal_share(created.share_id, SERVICE).content == b"s3cret"


def test_prepare_generates_nothing_beside_a_configured_key(
    keyring: Path, settings: Settings
) -> None:
    use_keys(settings, f"set:{A}")
    prepare()
    assert not keyring.exists()
    assert recorded() == {"set"}


def test_prepare_generates_nothing_inside_a_cluster(keyring: Path, settings: Settings) -> None:
    settings.IN_CLUSTER = True
    with pytest.raises(CommandError, match="FUGATA_KEYS"):
        prepare()
    assert not keyring.exists()


def test_check_only_makes_no_keyring(keyring: Path) -> None:
    with pytest.raises(CommandError, match="No key"):
        prepare(check_only=True)
    assert not keyring.exists()


def forget_what_was_loaded() -> None:
    """As a new process would."""
    from vault_app.backends import reset_backends

    reset_backends()

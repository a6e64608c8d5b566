"""Re-wrapping: every data key under the primary, whatever happens to its row meanwhile."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from repositories_app.models import Repository, RepositorySecret
from repositories_app.sealing import secret_associated_data
from secrets_app.actions.create import CreatedShare
from secrets_app.actions.delete import delete_share
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.secrets_app.support import row_of, share
from tests.support.in_process.doubles import FaultyKeys, backend
from tests.vault_app.support import use_keyring_file
from vault_app import envelope, keycheck, rewrap, rotation, tasks, usage
from vault_app.backends import key_provider
from vault_app.errors import KeyUnavailable, VaultError
from vault_app.keys import local
from vault_app.models import KeyEncryptionKey, Sealed, sealed_models

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def keyring(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keyring file with the key `old`."""
    path = tmp_path / "keyring"
    use_keyring_file(settings, path, monkeypatch)
    monkeypatch.setattr(rewrap, "PASS_PAUSE", 0.0)
    return path


def shares(count: int) -> list[CreatedShare]:
    return [share(f"s3cret {number}") for number in range(count)]


def by_key() -> dict[str, int]:
    """How many rows are under each key, where there are any."""
    return {key.id: key.needed_by for key in usage.key_states() if key.needed_by}


def moved(batches: Iterator[rewrap.Batch]) -> int:
    return sum(batch.moved for batch in batches)


def test_everything_moves_and_opens() -> None:
    created = shares(7)
    before = {bytes(row.wrapped_key) for row in Share.objects.all()}
    values = set(Share.objects.values_list("value_name", flat=True))
    new = rotation.make_primary()
    assert by_key() == {"old": 7}
    assert moved(rewrap.rewrap(batch=3)) == 7
    assert by_key() == {new: 7}
    assert not before & {bytes(row.wrapped_key) for row in Share.objects.all()}
    assert values == set(Share.objects.values_list("value_name", flat=True))
    for number, one in enumerate(created):
        assert reveal_share(one.share_id, SERVICE).content == f"s3cret {number}".encode()


def test_every_table_with_sealed_values_is_found() -> None:
    labels = {model._meta.label for model in sealed_models()}
    assert "secrets_app.Share" in labels
    assert Sealed not in sealed_models()
    assert labels == set(usage.key_states()[0].rows)


def test_the_secrets_of_repositories_move_too() -> None:
    """Their terms name the repository, which is read with them, not once for each."""
    repository = Repository.objects.create(name="team/app")
    sealed = {key: _repository_secret(repository, key) for key in ("A", "B", "C")}
    new = rotation.make_primary()
    with CaptureQueriesContext(connection) as asked:
        assert moved(rewrap.rewrap()) == 3
    assert sum('FROM "repositories_app_repository"' in q["sql"] for q in asked) == 0
    assert by_key() == {new: 3}
    for row in RepositorySecret.objects.all():
        opened = envelope.unseal(
            sealed[row.secret_key], bytes(row.wrapped_key), row.associated_data()
        )
        assert opened == row.secret_key.encode()


def _repository_secret(repository: Repository, key: str) -> bytes:
    """Write a repository's secret whose value is its key; returns it sealed."""
    associated_data = secret_associated_data(repository.name, key, f"value-{key}")
    sealed, wrapped = envelope.seal(key.encode(), associated_data)
    RepositorySecret.objects.create(
        repository=repository,
        secret_key=key,
        wrapped_key=wrapped,
        key_id=key_provider().key_of(wrapped),
        value_name=f"value-{key}",
        size=1,
    )
    return sealed


def test_batches_are_bounded() -> None:
    shares(7)
    rotation.make_primary()
    sizes = [batch.moved for batch in rewrap.rewrap(batch=3)]
    assert sizes == [3, 3, 1]


def test_a_run_that_was_stopped_is_continued() -> None:
    shares(7)
    new = rotation.make_primary()
    next(rewrap.rewrap(batch=3))
    assert by_key() == {"old": 4, new: 3}
    assert moved(rewrap.rewrap(batch=3)) == 4
    assert moved(rewrap.rewrap()) == 0


def test_a_row_deleted_meanwhile_stays_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing, one is opened and one is deleted: neither comes back."""
    opened, deleted, kept = shares(3)
    rotation.make_primary()
    wrapped_anew = rewrap._rewrapped_keys

    def meanwhile(rows: list[rewrap._Row]) -> list[bytes | VaultError]:
        monkeypatch.setattr(rewrap, "_rewrapped_keys", wrapped_anew)
        reveal_share(opened.share_id, SERVICE)
        delete_share(deleted.share_id, deleted.deletion_token, SERVICE)
        return wrapped_anew(rows)

    monkeypatch.setattr(rewrap, "_rewrapped_keys", meanwhile)
    assert moved(rewrap.rewrap()) == 1
    assert Share.objects.count() == 1
    assert reveal_share(kept.share_id, SERVICE).content == b"s3cret 2"


def test_a_row_that_got_another_wrapping_meanwhile_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (one,) = shares(1)
    rotation.make_primary()
    wrapped_anew = rewrap._rewrapped_keys

    def meanwhile(rows: list[rewrap._Row]) -> list[bytes | VaultError]:
        Share.objects.update(wrapped_key=b"another", size=77)
        return wrapped_anew(rows)

    monkeypatch.setattr(rewrap, "_rewrapped_keys", meanwhile)
    done = next(rewrap.rewrap())
    assert done == rewrap.Batch(0, 0)
    row = row_of(one)
    assert (bytes(row.wrapped_key), row.size) == (b"another", 77)


def test_a_row_under_the_old_key_behind_the_pass_is_found() -> None:
    """A process that has not noticed the primary writes while the pass is under way."""
    first, *_ = shares(3)
    new = rotation.make_primary()
    batches = rewrap.rewrap(batch=1)
    next(batches)
    wrap_again_under_old(first)
    assert by_key() == {"old": 3}
    list(batches)
    assert by_key() == {new: 3}


def test_another_rotation_meanwhile() -> None:
    """What was made primary while a run is under way is where the rest goes, and what was done."""
    shares(4)
    rotation.make_primary()
    batches = rewrap.rewrap(batch=2)
    next(batches)
    newest = rotation.make_primary()
    list(batches)
    assert by_key() == {newest: 4}


def wrap_again_under_old(created: CreatedShare) -> None:
    row = row_of(created)
    context = row.associated_data().wrap_context()
    data_key = key_provider().unwrap(bytes(row.wrapped_key), context)
    wrapped = local.wrap_under("old", b"A" * 32, data_key, context)
    Share.objects.filter(pk=row.pk).update(wrapped_key=wrapped, key="old")


def test_it_goes_on_looking_until_every_process_knows_the_primary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (only,) = shares(1)
    new = rotation.make_primary()
    looks: list[float] = []

    def late(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            wrap_again_under_old(only)

    clock = SimpleNamespace(sleep=late, monotonic=time.monotonic)
    monkeypatch.setattr(rewrap, "time", clock)
    monkeypatch.setattr(rewrap, "MAX_PASSES", 3)
    list(rewrap.rewrap(settle=60))
    assert len(looks) == 3
    assert by_key() == {new: 1}


def test_a_damaged_row_stays_and_is_counted() -> None:
    damaged, whole = shares(2)
    wrapped = bytearray(row_of(damaged).wrapped_key)
    wrapped[-1] ^= 1
    Share.objects.filter(pk=row_of(damaged).pk).update(wrapped_key=bytes(wrapped))
    new = rotation.make_primary()
    batches = list(rewrap.rewrap())
    assert (sum(b.moved for b in batches), sum(b.damaged for b in batches)) == (1, 1)
    assert by_key() == {"old": 1, new: 1}
    assert reveal_share(whole.share_id, SERVICE).content == b"s3cret 1"


def test_a_wrapping_is_bound_to_its_row() -> None:
    """Two rows whose wrapped keys were exchanged in the database do not get valid ones by it."""
    one, two = shares(2)
    first, second = bytes(row_of(one).wrapped_key), bytes(row_of(two).wrapped_key)
    Share.objects.filter(pk=row_of(one).pk).update(wrapped_key=second)
    Share.objects.filter(pk=row_of(two).pk).update(wrapped_key=first)
    rotation.make_primary()
    assert sum(b.damaged for b in rewrap.rewrap()) == 2


def test_a_key_that_can_not_be_had_stops_it(settings: Settings) -> None:
    shares(5)
    new = rotation.make_primary()
    keys = FaultyKeys()
    settings.KMS_PROVIDER = backend(keys)
    batches = rewrap.rewrap(batch=2)
    next(batches)
    keys.failing = {"unwrap"}
    with pytest.raises(KeyUnavailable):
        next(batches)
    assert by_key() == {"old": 3, new: 2}
    keys.failing = set()
    assert moved(rewrap.rewrap()) == 3


def test_everything_anew() -> None:
    shares(3)
    before = {bytes(row.wrapped_key) for row in Share.objects.all()}
    assert moved(rewrap.rewrap_all(batch=2)) == 3
    assert not before & {bytes(row.wrapped_key) for row in Share.objects.all()}
    assert by_key() == {"old": 3}


# --- By the worker -------------------------------------------------------------------------------


def test_the_worker_does_nothing_unasked() -> None:
    shares(2)
    rotation.make_primary()
    assert tasks.rewrap_keys() == 0
    assert by_key() == {"old": 2}


def test_the_worker_does_what_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """In runs of bounded length, of which each goes on where the last one ended."""
    shares(5)
    new = rotation.make_primary()
    rewrap.request_rewrap()
    assert [key.rewrap_requested for key in usage.key_states()] == [False, True]
    monkeypatch.setattr(rewrap.rewrap, "__defaults__", (None, 2, 0.0))
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    assert rewrap.run_requested(-1.0) == 2
    assert rewrap.run_requested(-1.0) == 2
    assert [key.rewrap_requested for key in usage.key_states()] == [False, True]
    assert tasks.rewrap_keys() == 1
    assert by_key() == {new: 5}
    assert not any(key.rewrap_requested for key in usage.key_states())


def test_what_was_asked_at_a_full_second_is_done_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    monkeypatch.setattr(rewrap, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    rewrap.request_rewrap()
    assert any(key.rewrap_requested for key in usage.key_states())
    tasks.rewrap_keys()
    assert not any(key.rewrap_requested for key in usage.key_states())


def test_the_worker_survives_a_key_that_can_not_be_had(settings: Settings) -> None:
    shares(1)
    rotation.make_primary()
    rewrap.request_rewrap()
    keys = FaultyKeys()
    settings.KMS_PROVIDER = backend(keys)
    keys.failing = {"wrap"}
    assert tasks.rewrap_keys() == 0
    assert any(key.rewrap_requested for key in usage.key_states())


def test_what_was_asked_later_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rotation is asked for while a run ends: its word stays."""
    monkeypatch.setattr(rewrap, "SETTLE", 0.0)
    shares(1)
    rotation.make_primary()
    rewrap.request_rewrap()
    run = rewrap.rewrap

    def then_another(*args: object, **options: object) -> Iterator[rewrap.Batch]:
        yield from run()
        rotation.make_primary()
        KeyEncryptionKey.objects.filter(id=key_provider().primary).update(
            rewrap_asked_at="2099-01-01T00:00:00Z"
        )

    monkeypatch.setattr(rewrap, "rewrap", then_another)
    rewrap.run_requested(60)
    assert [key.rewrap_requested for key in usage.key_states()] == [False, False, True]
    keycheck.verify()

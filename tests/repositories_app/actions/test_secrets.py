"""Set, read and remove: the order of effects, and what a fault on the way leaves behind."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from fugata_core.errors import InternalError, RowLocked
from repositories_app.actions.repositories import create_repository
from repositories_app.actions.secrets import (
    read_secret,
    remove_secret,
    secret_keys,
    set_secret,
)
from repositories_app.errors import RepositoryNotFound, SecretNotFound
from repositories_app.models import Repository, RepositorySecret
from repositories_app.persistence import secret_table
from tests.repositories_app.support import happened, opened, row
from tests.support.in_process.doubles import FaultyKeys, MemoryStore
from vault_app.models import StoredValue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members")]


def test_the_order_of_effects(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "k", "one", actor)
    assert remote_store.calls == ["put"]
    set_secret(opened(), "k", "two", actor)
    assert remote_store.calls == ["put", "put", "delete"]
    assert read_secret(opened(), "k", actor) == b"two"
    remove_secret(opened(), "k", actor)
    assert remote_store.calls == ["put", "put", "delete", "get", "delete"]
    assert remote_store.values == {}
    assert happened() == ["set", "set", "read", "removed"]


def _refuse(*_: object) -> None:
    raise RowLocked()


def test_nothing_is_stored_for_a_row_known_to_be_locked(
    remote_store: MemoryStore, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_table(), "require_unlocked", _refuse)
    with pytest.raises(RowLocked):
        set_secret(opened(), "k", "value", actor)
    assert remote_store.calls == []


def test_a_value_whose_row_is_locked_is_deleted(
    remote_store: MemoryStore, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_table(), "write", _refuse)
    with pytest.raises(RowLocked):
        set_secret(opened(), "k", "value", actor)
    assert remote_store.calls == ["put", "delete"]
    assert remote_store.values == {}


@pytest.mark.django_db(transaction=True)
def test_no_remote_call_inside_a_transaction(remote_store: MemoryStore, actor: Actor) -> None:
    for value in ("one", "two"):
        set_secret(opened(), "k", value, actor)
    read_secret(opened(), "k", actor)
    remove_secret(opened(), "k", actor)
    assert remote_store.inside_a_transaction
    assert not any(remote_store.inside_a_transaction)


def test_what_the_store_gets_is_sealed(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "DATABASE_URL", "postgresql://secret", actor)
    ((name, sealed),) = remote_store.values.items()
    for text in (b"postgresql", b"DATABASE_URL", b"alices-repo"):
        assert text not in sealed
        assert text not in name.encode()


@pytest.mark.usefixtures("database_store")
def test_values_in_the_database_come_and_go_with_their_rows(actor: Actor) -> None:
    for value in ("one", "two"):
        set_secret(opened(), "k", value, actor)
        assert StoredValue.objects.count() == 1
    remove_secret(opened(), "k", actor)
    assert StoredValue.objects.count() == 0


def test_a_row_that_can_not_be_written_is_a_500_that_is_logged(
    remote_store: MemoryStore,
    actor: Actor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its key was retired meanwhile, for instance."""

    def fail(*_: object) -> None:
        raise IntegrityError("Key (secret_key)=(K3Y) is already there")

    monkeypatch.setattr(secret_table(), "write", fail)
    with pytest.raises(InternalError):
        set_secret(opened(), "K3Y", "mine", actor)
    assert "a secret's row could not be written: IntegrityError" in caplog.text
    assert "K3Y" not in caplog.text
    assert remote_store.values == {}


@pytest.mark.parametrize("operation", ["put", "wrap"])
def test_a_set_that_fails_changes_nothing(
    remote_store: MemoryStore, faulty_keys: FaultyKeys, actor: Actor, operation: str
) -> None:
    set_secret(opened(), "k", "old", actor)
    remote_store.failing = faulty_keys.failing = {operation}
    for key in ("k", "new"):
        with pytest.raises(InternalError) as raised:
            set_secret(opened(), key, "value", actor)
        assert raised.value.status == 500
    remote_store.failing = faulty_keys.failing = set()
    assert read_secret(opened(), "k", actor) == b"old"
    assert secret_keys(opened()) == ["k"]


@pytest.mark.parametrize("operation", ["get", "unwrap"])
def test_a_read_that_fails_is_a_500_with_an_event(
    remote_store: MemoryStore, faulty_keys: FaultyKeys, actor: Actor, operation: str
) -> None:
    set_secret(opened(), "k", "v", actor)
    remote_store.failing = faulty_keys.failing = {operation}
    with pytest.raises(InternalError):
        read_secret(opened(), "k", actor)
    remote_store.failing = faulty_keys.failing = set()
    assert read_secret(opened(), "k", actor) == b"v"
    assert happened() == ["set", "read failed", "read"]


def test_a_clean_up_that_fails_changes_no_answer(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "k", "one", actor)
    remote_store.failing = {"delete"}
    set_secret(opened(), "k", "two", actor)
    assert read_secret(opened(), "k", actor) == b"two"
    remove_secret(opened(), "k", actor)
    with pytest.raises(SecretNotFound):
        read_secret(opened(), "k", actor)
    assert len(remote_store.values) == 2  # for reconciliation


def test_an_error_after_the_row_was_sent_deletes_no_value(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit's outcome may be unknown; an orphan is what reconciliation is for."""

    def fail(*_: object, **__: object) -> None:
        raise DatabaseError("injected")

    monkeypatch.setattr(type(secret_table()), "write", fail)
    with pytest.raises(DatabaseError):
        set_secret(opened(), "k", "v", SERVICE)
    assert remote_store.calls == ["put"]
    assert len(remote_store.values) == 1
    assert secret_keys(opened()) == []


@pytest.mark.usefixtures("database_store")
def test_no_effect_without_its_event(actor: Actor) -> None:
    set_secret(opened(), "k", "old", actor)
    unwritable = replace(actor, request_id=cast(str, None))
    for act in (
        lambda: set_secret(opened(), "k", "new", unwritable),
        lambda: remove_secret(opened(), "k", unwritable),
        lambda: read_secret(opened(), "k", unwritable),
    ):
        with pytest.raises((DatabaseError, InternalError)), transaction.atomic():
            act()
    assert read_secret(opened(), "k", actor) == b"old"
    assert StoredValue.objects.count() == 1


def test_a_reader_follows_a_moved_pointer(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "k", "one", actor)

    def replace() -> None:
        remote_store.before = {}
        set_secret(opened(), "k", "two", actor)

    remote_store.before = {"get": replace}
    assert read_secret(opened(), "k", actor) == b"two"


def test_a_reader_follows_three_times(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "k", "0", actor)
    moves: list[int] = []

    def replace() -> None:
        moves.append(1)
        set_secret(opened(), "k", "more", actor)

    remote_store.before = {"get": replace}
    with pytest.raises(InternalError):
        read_secret(opened(), "k", actor)
    assert len(moves) == 4


def test_a_secret_removed_under_its_reader_is_gone(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "k", "one", actor)
    remote_store.before = {"get": lambda: remove_secret(opened(), "k", actor)}
    with pytest.raises(SecretNotFound):
        read_secret(opened(), "k", actor)


def test_a_value_that_is_missing_is_no_404(remote_store: MemoryStore, actor: Actor) -> None:
    set_secret(opened(), "k", "one", actor)
    remote_store.values.clear()
    with pytest.raises(InternalError):
        read_secret(opened(), "k", actor)
    assert happened()[-1] == "read failed"


@pytest.mark.django_db(transaction=True)
def test_a_repository_deleted_under_a_writer(remote_store: MemoryStore, actor: Actor) -> None:
    create_repository("short", "alice")
    repository = opened("short")

    def delete() -> None:
        Repository.objects.get(name="short").delete()

    remote_store.before = {"put": delete}
    with pytest.raises(RepositoryNotFound):
        set_secret(repository, "k", "v", actor)
    assert not RepositorySecret.objects.exists()
    assert remote_store.values == {}


MOVES: dict[str, Callable[[RepositorySecret, RepositorySecret], None]] = {
    "object": lambda a, b: _update(a, value_name=b.value_name),
    "object and data key": lambda a, b: _update(
        a, value_name=b.value_name, wrapped_key=bytes(b.wrapped_key)
    ),
    "data key": lambda a, b: _update(a, wrapped_key=bytes(b.wrapped_key)),
}


def _update(secret: RepositorySecret, **columns: object) -> None:
    RepositorySecret.objects.filter(pk=secret.pk).update(**columns)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_what_was_moved_opens_nowhere(
    move: Callable[[RepositorySecret, RepositorySecret], None], actor: Actor
) -> None:
    create_repository("other", "alice")
    set_secret(opened(), "mine", "alice's", actor)
    set_secret(opened("other"), "theirs", "bob's", actor)
    move(row("mine"), row("theirs"))
    with pytest.raises(InternalError):
        read_secret(opened(), "mine", actor)
    assert happened()[-1] == "read failed"


def test_a_row_under_another_key_or_repository_does_not_open(actor: Actor) -> None:
    create_repository("other", "alice")
    for key in ("a", "b"):
        set_secret(opened(), key, f"value of {key}", actor)
    _update(row("a"), repository_id=opened("other").id)
    _update(row("b"), secret_key="c")
    for repository, key in (("other", "a"), ("alices-repo", "c")):
        with pytest.raises(InternalError):
            read_secret(opened(repository), key, actor)


def test_a_renamed_object_does_not_open(remote_store: MemoryStore, actor: Actor) -> None:
    """The attacker renames the object in the store and the pointer in the row alike."""
    set_secret(opened(), "k", "v", actor)
    (sealed,) = remote_store.values.values()
    remote_store.values["renamed"] = sealed
    _update(row("k"), value_name="renamed")
    with pytest.raises(InternalError):
        read_secret(opened(), "k", actor)


def test_events_say_who_and_what(actor: Actor) -> None:
    set_secret(opened(), "k", "v", actor)
    event = AuditEvent.objects.get(kind="set")
    assert (event.repository, event.secret_key) == ("alices-repo", "k")
    assert event.share_digest is None
    assert event.request_id == actor.request_id


@given(keys=st.sets(st.text("abcXYZ019-_.", min_size=1, max_size=5)))
def test_keys_are_sorted_by_code_point(keys: set[str], actor: Actor) -> None:
    RepositorySecret.objects.all().delete()
    usable = {key for key in keys if key != "." and not key.startswith("..")}
    for key in usable:
        set_secret(opened(), key, "v", actor)
    assert secret_keys(opened()) == sorted(usable)

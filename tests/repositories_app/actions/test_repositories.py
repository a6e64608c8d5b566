"""Repositories, members and tokens as operators change them: whole, and each an event."""

from datetime import UTC, datetime

import pytest

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from fugata_core.errors import BadRequest, RowLocked
from repositories_app.actions import repositories
from repositories_app.actions.repositories import (
    RemovedSecrets,
    create_repository,
    delete_repositories,
    remove_member,
    remove_secrets,
    set_member,
)
from repositories_app.actions.secrets import secret_keys, set_secret
from repositories_app.actions.tokens import TokenScope, create_access_token, revoke_access_tokens
from repositories_app.authorization import AuthorizedRepository
from repositories_app.models import AccessToken, Membership, Repository, RepositorySecret
from repositories_app.persistence import SecretRef, secret_table
from tests.repositories_app.support import OTHERS, REPOSITORY, Api, opened, token_of
from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.fixtures import Clock
from vault_app import values
from vault_app.deletion_hold import DURATION
from vault_app.models import DeletionHold, StoredValue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members")]

OLGA = Actor(username="olga", request_id="request-1")


def events(**where: str) -> list[tuple[str, str, str]]:
    rows = AuditEvent.objects.filter(username="olga", **where).order_by("pk")
    return list(rows.values_list("kind", "repository", "subject"))


def test_making_a_repository() -> None:
    create_repository("new", "nora", OLGA)
    assert events() == [("repo created", "new", ""), ("member set", "new", "nora: owner")]


def test_members() -> None:
    set_member(REPOSITORY, "nora", "reader", OLGA)
    set_member(REPOSITORY, "nora", "writer", OLGA)
    remove_member(REPOSITORY, "nora", OLGA)
    with pytest.raises(BadRequest):
        remove_member(REPOSITORY, "nora", OLGA)
    assert events() == [
        ("member set", REPOSITORY, "nora: reader"),
        ("member set", REPOSITORY, "nora: writer"),
        ("member removed", REPOSITORY, "nora"),
    ]


def test_at_the_terminal_it_is_said_so() -> None:
    kinds = AuditEvent.objects.filter(username="command line").values_list("kind", flat=True)
    assert set(kinds) == {"repo created", "member set"}


def test_tokens() -> None:
    token, row = create_access_token("alice", TokenScope(), OLGA)
    assert revoke_access_tokens([row.pk], OLGA) == 1
    assert revoke_access_tokens([row.pk, 999], OLGA) == 0
    subject = f"{token[:10]} of alice"
    assert events() == [("token created", "", subject), ("token revoked", "", subject)]


@pytest.mark.usefixtures("database_store")
def test_a_repository_goes_with_its_secrets_and_their_values() -> None:
    narrowed = token_of("alice", repositories=[REPOSITORY])
    for key in ("one", "two"):
        set_secret(opened(), key, "value", OLGA)
    set_secret(opened(OTHERS), "kept", "value", OLGA)
    assert delete_repositories([REPOSITORY], OLGA) == RemovedSecrets(2, 0)
    assert list(RepositorySecret.objects.values_list("secret_key", flat=True)) == ["kept"]
    assert StoredValue.objects.count() == 1
    assert not Membership.objects.filter(user__username="wendy").exists()
    assert AccessToken.objects.get(prefix=narrowed[:10]).narrowed
    assert Api(narrowed, OTHERS).list().status_code == 404
    assert events()[-3:] == [
        ("removed", REPOSITORY, ""),
        ("removed", REPOSITORY, ""),
        ("repo deleted", REPOSITORY, ""),
    ]
    with pytest.raises(BadRequest, match="There is no repository"):
        delete_repositories([REPOSITORY], OLGA)


def test_remote_values_go_too(remote_store: MemoryStore) -> None:
    set_secret(opened(), "one", "value", OLGA)
    delete_repositories([REPOSITORY], OLGA)
    assert remote_store.values == {}


@pytest.fixture
def many(members: None, remote_store: MemoryStore) -> None:
    """Secrets in two repositories."""
    for name in (REPOSITORY, OTHERS):
        for number in range(5):
            set_secret(opened(name), f"key-{number}", "value", OLGA)


@pytest.mark.usefixtures("many")
def test_a_store_that_fails_is_waited_for_once(remote_store: MemoryStore) -> None:
    """Whatever is deleted: the rest of the values is left to reconciliation."""
    remote_store.failing = {"delete"}
    remote_store.calls.clear()
    assert delete_repositories([REPOSITORY, OTHERS], OLGA) == RemovedSecrets(10, left=10)
    assert remote_store.calls == ["delete"]
    assert not RepositorySecret.objects.exists()


@pytest.mark.usefixtures("many")
def test_removing_many_secrets_waits_once_too(remote_store: MemoryStore) -> None:
    remote_store.failing = {"delete"}
    remote_store.calls.clear()
    chosen = list(RepositorySecret.objects.all())
    assert remove_secrets(chosen, OLGA) == RemovedSecrets(10, left=10)
    assert remote_store.calls == ["delete"]
    assert remove_secrets(chosen, OLGA) == RemovedSecrets(0, 0)


@pytest.mark.usefixtures("many")
def test_a_slow_store_is_not_waited_for_without_end(
    remote_store: MemoryStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "time", clock)
    remote_store.before = {"delete": lambda: clock.move(values.DELETE_ALL_TIMEOUT / 2.5)}
    assert delete_repositories([REPOSITORY, OTHERS], OLGA) == RemovedSecrets(10, left=7)
    assert len(remote_store.values) == 7


@pytest.mark.usefixtures("many")
def test_a_back_up_that_begins_meanwhile_ends_the_deletions(remote_store: MemoryStore) -> None:
    """It has read rows that still point to these values."""

    def begin() -> None:
        DeletionHold.objects.create(until=datetime.now(UTC) + DURATION)

    remote_store.before = {"delete": begin}
    assert delete_repositories([REPOSITORY, OTHERS], OLGA) == RemovedSecrets(10, left=9)
    assert len(remote_store.values) == 9


@pytest.mark.usefixtures("many")
def test_what_was_removed_before_a_locked_row_loses_its_value(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, turns = secret_table(), iter(range(10))
    remove = table.remove

    def remove_or_wait(ref: SecretRef, actor: Actor) -> str | None:
        if next(turns) == 3:
            raise RowLocked()
        return remove(ref, actor)

    monkeypatch.setattr(table, "remove", remove_or_wait)
    with pytest.raises(RowLocked):
        delete_repositories([REPOSITORY], OLGA)
    assert len(remote_store.values) == RepositorySecret.objects.count() == 7


def test_a_secret_set_meanwhile_is_removed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer is quicker than the deletion, once."""
    late = iter(["late"])

    def listed(repository: AuthorizedRepository) -> list[str]:
        found = secret_keys(repository)
        for key in late:
            set_secret(repository, key, "value", OLGA)
        return found

    monkeypatch.setattr(repositories, "secret_keys", listed)
    assert delete_repositories([REPOSITORY], OLGA) == RemovedSecrets(1, 0)
    assert StoredValue.objects.count() == 0
    assert [kind for kind, _, _ in events()] == ["set", "removed", "repo deleted"]


def test_a_secret_removed_meanwhile_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    set_secret(opened(), "stays", "value", OLGA)
    monkeypatch.setattr(repositories, "secret_keys", lambda _: ["gone", "stays"])
    assert delete_repositories([REPOSITORY], OLGA) == RemovedSecrets(1, 0)


def test_writers_who_never_stop_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays whole: no row is dropped with its value left behind."""
    set_secret(opened(), "stays", "value", OLGA)
    monkeypatch.setattr(repositories, "secret_keys", lambda _: [])
    with pytest.raises(BadRequest, match="are being set just now"):
        delete_repositories([REPOSITORY], OLGA)
    assert Repository.objects.filter(name=REPOSITORY).exists()
    assert events(kind="repo deleted") == []

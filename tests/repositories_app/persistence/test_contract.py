"""The contracts of the tables of repositories: each effect with its event, or neither."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction

from audit_app.actors import SERVICE, Actor
from audit_app.models import AuditEvent
from fugata_core import tokens
from fugata_core.access_tokens import new_access_token
from repositories_app.actions.repositories import delete_repositories
from repositories_app.actions.tokens import TokenScope, create_access_token
from repositories_app.models import AccessToken, Repository, RepositorySecret
from repositories_app.persistence import (
    AccessTable,
    SecretRef,
    SecretTable,
    access_table,
    secret_table,
)
from repositories_app.persistence.portable import PortableAccessTable, PortableSecretTable
from repositories_app.persistence.postgresql import PostgresqlAccessTable, PostgresqlSecretTable
from tests.repositories_app.support import OTHERS, REPOSITORY, opened, row, token_of
from tests.secrets_app.support import at_once
from vault_app.models import StoredValue
from vault_app.values import SealedValue

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("members")]

#: Its events can't be written: request_id may not be null.
UNWRITABLE = Actor(request_id=cast(str, None))
_numbers = itertools.count()


def kept(sealed: bytes | None = b"sealed") -> SealedValue:
    """A value of a name of its own."""
    return SealedValue(f"value-{next(_numbers)}", b"wrapped", "test", 6, sealed)


def place(key: str = "k") -> SecretRef:
    return SecretRef(opened().id, REPOSITORY, key)


def values() -> set[str]:
    return set(StoredValue.objects.values_list("name", flat=True))


def test_the_database_in_use_has_its_own() -> None:
    own: tuple[type, type] = (PortableAccessTable, PortableSecretTable)
    if connection.vendor == "postgresql":
        own = (PostgresqlAccessTable, PostgresqlSecretTable)
    assert (type(access_table()), type(secret_table())) == own


# --- Tokens and members --------------------------------------------------------------------------


def test_a_live_token(access: AccessTable) -> None:
    token, made = create_access_token("rita", TokenScope(read_only=True))
    known = access.find_token(tokens.digest(token))
    assert known is not None
    assert known.digest == tokens.digest(token)
    caller = known.caller
    assert (caller.token_id, caller.username, caller.prefix) == (made.pk, "rita", made.prefix)
    assert caller.user_id == User.objects.get(username="rita").pk
    assert (caller.read_only, caller.narrowed, known.last_used_at) == (True, False, None)
    assert abs(known.now - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("field", "seconds", "live"),
    [("expires_at", -1, False), ("expires_at", 60, True), ("revoked_at", -1, False)],
)
def test_ends_of_tokens(access: AccessTable, field: str, seconds: int, live: bool) -> None:
    token, made = create_access_token("rita", TokenScope())
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    AccessToken.objects.filter(pk=made.pk).update(**{field: at})
    assert (access.find_token(tokens.digest(token)) is not None) is live


def test_a_user_who_may_not_sign_in(access: AccessTable) -> None:
    token = token_of("rita")
    User.objects.filter(username="rita").update(is_active=False)
    assert access.find_token(tokens.digest(token)) is None
    assert access.find_token(b"x" * 32) is None


@pytest.mark.parametrize(
    ("username", "repository", "role"),
    [
        ("alice", REPOSITORY, "owner"),
        ("rita", REPOSITORY, "reader"),
        ("charlie", REPOSITORY, None),
        ("alice", OTHERS, None),
        ("alice", "nowhere", None),
    ],
)
def test_membership(access: AccessTable, username: str, repository: str, role: str | None) -> None:
    user = User.objects.get(username=username).pk
    wanted = (opened(repository).id, role) if role else None
    assert access.find_membership(repository, user, None) == wanted


def test_a_narrowed_token_reaches_its_own(access: AccessTable) -> None:
    alice = User.objects.get(username="alice").pk
    here = create_access_token("alice", TokenScope(repositories=[REPOSITORY]))[1].pk
    elsewhere = create_access_token("alice", TokenScope(repositories=[OTHERS]))[1].pk
    assert access.find_membership(REPOSITORY, alice, here) == (opened().id, "owner")
    assert access.find_membership(REPOSITORY, alice, elsewhere) is None
    assert access.find_membership(OTHERS, alice, elsewhere) is None


# --- Secrets -------------------------------------------------------------------------------------


def test_write_makes_and_replaces(secrets: SecretTable, actor: Actor) -> None:
    first, second = kept(b"one"), kept(b"two")
    assert secrets.write(place(), first, actor) is None
    made = row("k")
    assert secrets.write(place(), second, actor) == first.name
    replaced = row("k")
    assert (replaced.pk, replaced.created_at) == (made.pk, made.created_at)
    assert replaced.updated_at > made.updated_at
    assert (replaced.value_name, replaced.size, replaced.key_id) == (second.name, 6, "test")
    assert bytes(replaced.wrapped_key) == b"wrapped"
    assert values() == {second.name}
    loaded = secrets.load(opened().id, "k")
    assert loaded is not None
    assert (loaded.wrapped_key, loaded.value_name, loaded.sealed) == (
        b"wrapped",
        second.name,
        b"two",
    )


def test_a_value_kept_elsewhere(secrets: SecretTable) -> None:
    secrets.write(place(), kept(None), SERVICE)
    loaded = secrets.load(opened().id, "k")
    assert loaded is not None
    assert loaded.sealed is None
    assert values() == set()


def test_remove(secrets: SecretTable, actor: Actor) -> None:
    value, other = kept(), kept()
    secrets.write(place(), value, actor)
    secrets.write(place("other"), other, actor)
    assert secrets.remove(place(), actor) == value.name
    assert secrets.remove(place(), actor) is None
    assert secrets.load(opened().id, "k") is None
    assert values() == {other.name}


def test_events_say_who_did_what(secrets: SecretTable, actor: Actor) -> None:
    secrets.write(place(), kept(), actor)
    secrets.remove(place(), actor)
    secrets.remove(place(), actor)
    events = AuditEvent.objects.filter(secret_key="k").order_by("pk")
    assert [event.kind for event in events] == ["set", "removed"]
    for event in events:
        assert (event.repository, event.count, event.share_digest) == (REPOSITORY, 1, None)
        assert bytes(event.address_hash or b"") == actor.address_hash
        said = (event.request_id, event.username, event.token)
        assert said == (actor.request_id, actor.username, actor.token)


def test_no_effect_without_its_event(secrets: SecretTable) -> None:
    value = kept()
    secrets.write(place(), value, SERVICE)
    acts: list[Callable[[], object]] = [
        lambda: secrets.write(place(), kept(), UNWRITABLE),
        lambda: secrets.write(place("new"), kept(), UNWRITABLE),
        lambda: secrets.remove(place(), UNWRITABLE),
    ]
    for act in acts:
        with pytest.raises(DatabaseError):
            act()
    assert values() == {value.name}
    assert RepositorySecret.objects.get().value_name == value.name


def test_a_repository_that_is_gone(secrets: SecretTable) -> None:
    where = place()
    delete_repositories([REPOSITORY])
    with pytest.raises(IntegrityError), transaction.atomic():
        secrets.write(where, kept(), SERVICE)
    assert values() == set()
    assert not AuditEvent.objects.filter(kind="set").exists()


# --- Many at once --------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("sealed", [b"sealed", None], ids=["here", "elsewhere"])
def test_writers_and_removers_leave_nothing_behind(
    secrets: SecretTable, rounds: int, sealed: bytes | None
) -> None:
    """Every value that was written is the row's, or was returned to the writer that replaced it.

    No writer fails because another one, or a remover, was there first.
    """
    where = place()
    turns = itertools.count()

    def write_or_remove(_: int) -> tuple[str | None, str | None]:
        if next(turns) % 3 == 0:
            return None, secrets.remove(where, SERVICE)
        value = kept(sealed)
        return value.name, secrets.write(where, value, SERVICE)

    results = [pair for round_ in at_once(6, rounds, write_or_remove) for pair in round_]
    written = {new for new, _ in results if new}
    named = [old for _, old in results if old]
    last = set(RepositorySecret.objects.values_list("value_name", flat=True))
    assert len(named) == len(set(named)), "each value is handed to one for its deletion"
    assert set(named) | last == written
    assert values() == (last if sealed else set())
    assert Repository.objects.filter(name=REPOSITORY).exists()
    kinds = list(AuditEvent.objects.filter(secret_key="k").values_list("kind", flat=True))
    assert kinds.count("set") == len(written)
    assert kinds.count("removed") == sum(new is None and bool(old) for new, old in results)


@pytest.mark.parametrize("sealed", [b"sealed", None])
@pytest.mark.parametrize("action", ["write", "remove"])
def test_events_have_no_secret_in_them(
    secrets: SecretTable, action: str, sealed: bytes | None
) -> None:
    """Releases before let a key have the form of a token."""
    token = new_access_token()
    secrets.write(place(token), kept(sealed), SERVICE)
    if action == "remove":
        secrets.remove(place(token), SERVICE)
    events = AuditEvent.objects.filter(kind__in=("set", "removed"))
    assert {event.secret_key for event in events} == {f"{token[:10]}…"}

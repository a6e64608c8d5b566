"""What a failure or a killed process leaves in a store is noted before that can happen."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit_app.actors import SERVICE
from fugata_core.clock import now
from fugata_core.errors import InternalError
from repositories_app.actions.repositories import delete_repositories, remove_secrets
from repositories_app.actions.secrets import set_secret
from repositories_app.models import RepositorySecret
from secrets_app.actions.delete import revoke_shares
from secrets_app.actions.purge import purge_expired
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from tests.repositories_app.support import REPOSITORY, opened, people
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app import leftovers
from vault_app.errors import StoreUnavailable, ValueConflict
from vault_app.models import Leftover
from vault_app.reconcile import reconcile_all

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process ends here."""


def _noted() -> set[str]:
    return leftovers.noted(list(Leftover.objects.values_list("name", flat=True)))


def test_a_put_that_failed_is_noted(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer may have been lost."""
    put = remote_store.put

    def lose(name: str, sealed: bytes) -> None:
        put(name, sealed)
        raise StoreUnavailable("injected")

    monkeypatch.setattr(remote_store, "put", lose)
    with pytest.raises(InternalError):
        share()
    assert _noted() == set(remote_store.values) != set()
    assert sum(report.leftovers for _, report in reconcile_all()) == 1
    assert not remote_store.values


def test_what_somebody_else_has_under_a_name_is_not(
    remote_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(name: str, sealed: bytes) -> None:
        raise ValueConflict("injected")

    monkeypatch.setattr(remote_store, "put", conflict)
    with pytest.raises(InternalError):
        share()
    assert not _noted()


def _delete_repository() -> None:
    delete_repositories([REPOSITORY])


def _remove_secrets() -> None:
    remove_secrets(RepositorySecret.objects.all(), SERVICE)


def _revoke() -> None:
    revoke_shares(Share.objects.values_list("pk", flat=True), SERVICE)


def _purge() -> None:
    Share.objects.update(expires_at=now() - timedelta(seconds=1))
    list(purge_expired())


MANY = (_delete_repository, _remove_secrets, _revoke, _purge)


@pytest.fixture
def filled(remote_store: MemoryStore) -> MemoryStore:
    """Three shares, and three secrets of a repository."""
    _fill()
    return remote_store


def _fill() -> None:
    people()
    for number in range(3):
        share()
        set_secret(opened(), f"K{number}", "value", SERVICE)


@pytest.mark.parametrize("act", MANY)
def test_a_process_that_is_killed(filled: MemoryStore, act: Callable[[], None]) -> None:
    def kill() -> None:
        raise Killed

    filled.before = {"delete": kill}
    with pytest.raises(Killed):
        act()
    assert len(_noted()) == 3
    filled.before = {}
    assert sum(report.leftovers for _, report in reconcile_all()) == 3
    assert len(filled.values) == 3


@pytest.mark.parametrize("act", MANY)
def test_what_goes_is_forgotten(filled: MemoryStore, act: Callable[[], None]) -> None:
    act()
    assert len(filled.values) == 3
    assert not _noted()


def test_what_fails_stays(filled: MemoryStore) -> None:
    def fail_from_the_second_on() -> None:
        filled.failing = {"delete"} if filled.calls.count("delete") > 1 else set()

    filled.before = {"delete": fail_from_the_second_on}
    _delete_repository()
    assert len(_noted()) == 2
    assert _noted() < set(filled.values)


@pytest.mark.parametrize("act", MANY)
def test_values_in_the_database_are_not_noted(act: Callable[[], None]) -> None:
    _fill()
    act()
    assert not _noted()


def test_a_row_that_could_not_be_deleted_is_not(
    filled: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its value stays too: whether the row is there is unknown."""
    note = leftovers.note

    def then_fail(app: str, names: list[str]) -> None:
        note(app, names)
        raise Killed

    monkeypatch.setattr(leftovers, "note", then_fail)
    with suppress(Killed):
        _delete_repository()
    assert RepositorySecret.objects.count() == 3
    assert len(filled.values) == 6
    assert not _noted()


@pytest.mark.usefixtures("remote_store")
def test_an_opening_takes_no_statement_more() -> None:
    made = share()
    with CaptureQueriesContext(connection) as queries:
        reveal_share(made.share_id, SERVICE)
    assert not [each for each in queries if "leftover" in each["sql"]]

"""Where an answer of the database got lost, nobody knows whether a value has a row."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError

from audit_app.actors import SERVICE
from fugata_core.clock import now
from fugata_core.errors import InternalError
from repositories_app.actions.secrets import set_secret
from repositories_app.models import RepositorySecret
from repositories_app.persistence import secret_table
from secrets_app.actions.create import CreatedShare, Draft
from secrets_app.actions.delete import delete_share
from secrets_app.actions.idempotent import create_idempotently, reveal_idempotently
from secrets_app.actions.reveal import reveal_share
from secrets_app.models import Share
from secrets_app.persistence import share_table
from tests.repositories_app.support import opened, people
from tests.secrets_app.support import share
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import Leftover
from vault_app.reconcile import reconcile_all

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("remote_store")]

KEY = "k" * 32
DRAFT = Draft("s3cret", "1h", True, None)


def _set() -> None:
    set_secret(opened(), "K", "value", SERVICE)


def _create_idempotently() -> None:
    create_idempotently(DRAFT, SERVICE, KEY, b"body")


def _open(made: CreatedShare) -> None:
    reveal_share(made.share_id, SERVICE)


def _open_idempotently(made: CreatedShare) -> None:
    reveal_idempotently(made.share_id, SERVICE, KEY)


def _delete(made: CreatedShare) -> None:
    delete_share(made.share_id, made.deletion_token, SERVICE)


WRITERS = {"insert": (share, _create_idempotently), "write": (_set,)}
CASES = [(name, act) for name, acts in WRITERS.items() for act in acts]
REMOVERS = (_open, _open_idempotently, _delete)


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the answer to a statement get lost: it is `done`, or is not."""

    def losing(name: str, error: type[Exception], done: bool) -> None:
        table: Any = secret_table() if name == "write" else share_table()
        act = getattr(table, name)

        def lost(*arguments: object) -> None:
            if done:
                act(*arguments)
            raise error("injected")

        monkeypatch.setattr(table, name, lost)

    return losing


def _a_day_later() -> int:
    """Reconcile, now and then; return how many leftovers were deleted, all of them then."""
    assert Leftover.objects.count() == 1
    assert not any(report.leftovers for _, report in reconcile_all())
    Leftover.objects.update(since=now() - timedelta(minutes=1))
    deleted = sum(report.leftovers for _, report in reconcile_all())
    assert not Leftover.objects.exists()
    return deleted


def _rows() -> int:
    return Share.objects.count() + RepositorySecret.objects.count()


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("name", "act"), CASES)
def test_a_row_that_may_have_been_written(
    lose: Callable[..., None],
    remote_store: MemoryStore,
    name: str,
    act: Callable[[], Any],
    error: type[Exception],
    done: bool,
) -> None:
    """A transaction around the statement is rolled back."""
    people()
    lose(name, error, done)
    with pytest.raises(error):
        act()
    rows = _rows()
    assert len(remote_store.values) == 1, "it is kept, for it may be needed"
    assert _a_day_later() == 1 - rows
    assert len(remote_store.values) == rows


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("act", REMOVERS)
def test_a_row_that_may_have_been_deleted(
    lose: Callable[..., None],
    remote_store: MemoryStore,
    act: Callable[[CreatedShare], None],
    done: bool,
) -> None:
    made = share()
    lose("remove", OperationalError, done)
    with pytest.raises(OperationalError):
        act(made)
    rows = _rows()
    assert len(remote_store.values) == 1
    assert _a_day_later() == 1 - rows
    assert len(remote_store.values) == rows


@pytest.mark.parametrize(("name", "act"), CASES)
def test_one_that_is_known_not_to_be_written(
    lose: Callable[..., None], remote_store: MemoryStore, name: str, act: Callable[[], Any]
) -> None:
    """Another request wrote the answer of the same key, for instance: the value goes at once."""
    people()
    lose(name, IntegrityError, done=False)
    with pytest.raises((IntegrityError, InternalError)):
        act()
    assert "put" in remote_store.calls
    assert remote_store.values == {}
    assert not Leftover.objects.exists()


def test_values_in_the_database_are_in_no_doubt(lose: Callable[..., None], settings: Any) -> None:
    settings.VALUE_STORE = {"BACKEND": "vault_app.stores.database.DatabaseStore", "OPTIONS": {}}
    lose("insert", OperationalError, done=False)
    with pytest.raises(OperationalError):
        share()
    assert not Leftover.objects.exists()

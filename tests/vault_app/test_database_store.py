"""What is particular to values in the database: it can fail, and the errors are translated."""

import zlib
from collections.abc import Callable
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import ProgrammingError

from vault_app.errors import StoreUnavailable
from vault_app.models import StoredValue
from vault_app.stores.database import DatabaseStore

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> DatabaseStore:
    """A store whose database prepares statements behind PgBouncer."""

    def fail(*_: object, **__: object) -> None:
        cause = psycopg.errors.DuplicatePreparedStatement("s3cret")
        raise ProgrammingError("s3cret") from cause

    for name in ("get_or_create", "filter", "values_list"):
        monkeypatch.setattr(StoredValue.objects, name, fail)
    return DatabaseStore()


OPERATIONS: dict[str, Callable[[DatabaseStore], object]] = {
    "put": lambda store: store.put("name", b"sealed"),
    "get": lambda store: store.get("name"),
    "delete": lambda store: store.delete("name"),
    "list": lambda store: list(store.list()),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_broken_database_is_an_unavailable_store(broken: DatabaseStore, operation: str) -> None:
    """Commands and the log show what it says: what is wrong, and what to do."""
    said = r"42P05\. .* it needs \?prepare_threshold=none"
    with pytest.raises(StoreUnavailable, match=said) as raised:
        OPERATIONS[operation](broken)
    assert "s3cret" not in str(raised.value)


def test_a_trial_is_as_large_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL compresses what it can: that would fit on a disk that is full."""
    tried: list[bytes] = []
    monkeypatch.setattr(DatabaseStore, "put", lambda store, name, sealed: tried.append(sealed))
    DatabaseStore().check_writable()
    assert len(zlib.compress(tried[0])) >= 2**16


@pytest.mark.usefixtures("database_store")
def test_there_is_nothing_to_reconcile() -> None:
    said = StringIO()
    call_command("reconcile_values", stdout=said)
    assert said.getvalue() == (
        "Values are in the database, and are deleted with their rows: there is nothing to"
        " reconcile.\n"
    )

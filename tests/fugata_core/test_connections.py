"""A connection that died while it was idle is noticed before a request uses it (PostgreSQL)."""

from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.core.signals import request_started
from django.db import OperationalError, ProgrammingError, connection, transaction

from fugata_core.connections import close_if_dead, close_if_failed
from fugata_core.postgresql.base import BoundedConnection, answers_within

pytestmark = pytest.mark.django_db(transaction=True)


def ask() -> int:
    """Return the number of the database process that serves this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.fixture
def backend() -> Iterator[int]:
    yield ask()
    connection.close()


def test_a_connection_that_lives_is_kept(backend: int) -> None:
    for _ in range(3):
        close_if_dead()
        assert ask() == backend


def test_a_connection_that_the_server_ended(backend: int) -> None:
    parameters = {**connection.get_connection_params()}
    names = ("dbname", "user", "password", "host", "port")
    own = {name: parameters[name] for name in names if parameters.get(name)}
    with psycopg.connect(**own, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", (backend,))
    close_if_dead()
    assert ask() != backend


def test_a_connection_that_ended_on_our_side(backend: int) -> None:
    connection.connection.close()
    close_if_dead()
    assert ask() != backend


def test_no_connection_yet() -> None:
    connection.close()
    close_if_dead()
    assert connection.connection is None


def test_each_request_looks() -> None:
    assert "fugata.close_if_dead" in [receiver[0][0] for receiver in request_started.receivers]
    assert settings.DATABASES["default"]["CONN_MAX_AGE"] is None


@pytest.fixture
def impatient(backend: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A process that waits for no answer; its session, which still works, is ended at last."""
    monkeypatch.setattr(BoundedConnection, "limit", 0.2)
    yield backend
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [backend])


def hang() -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        connection.cursor().execute("SELECT pg_sleep(60)")


def test_an_answer_that_does_not_come(impatient: int) -> None:
    """The connection is not used again: its answer may still come."""
    hang()
    close_if_dead()
    assert ask() != impatient


def test_an_answer_that_is_worth_less_time(backend: int) -> None:
    """The thread goes on with another connection; its next request waits as long as before."""
    with answers_within(0.2):
        hang()
        close_if_failed()
        assert ask() != backend
    connection.cursor().execute("SELECT pg_sleep(0.4), pg_terminate_backend(%s, 60000)", [backend])


def test_a_connection_that_works_is_kept_after_a_failure(backend: int) -> None:
    with pytest.raises(ProgrammingError):
        connection.cursor().execute("SELECT nonsense")
    close_if_failed()
    assert ask() == backend
    with transaction.atomic():
        close_if_failed()
        assert ask() == backend


def limit_of_statements(**options: object) -> str:
    """Return what new sessions of a process have that waits ten seconds for an answer."""
    before = connection.settings_dict["OPTIONS"]
    connection.close()
    connection.settings_dict["OPTIONS"] = before | options
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return str(cursor.fetchone()[0])
    finally:
        connection.settings_dict["OPTIONS"] = before
        connection.close()


def test_statements_end_before_they_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """But an operator's shorter limit stays, and PgBouncer's sessions are others' too."""
    assert limit_of_statements() == "0", "in a command"
    monkeypatch.setattr(BoundedConnection, "limit", 10.0)
    assert limit_of_statements() == "9s"
    assert limit_of_statements(options="-c statement_timeout=1s") == "1s"
    assert limit_of_statements(options="-c statement_timeout=1min") == "9s"
    assert limit_of_statements(prepare_threshold=None) == "0"

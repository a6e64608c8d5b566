"""A connection that died while it was idle is noticed before a request uses it (PostgreSQL); one
that is of no more use is left after it.
"""

import select
from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.conf import settings
from django.core.signals import request_started
from django.db import (
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    close_old_connections,
    connection,
    transaction,
)

from fugata_core.commands import database_sentence
from fugata_core.connections import close_if_dead, close_if_failed
from fugata_core.database_failures import StaleStatement, database_failure
from fugata_core.errors import DatabaseUnavailable
from fugata_core.postgresql.base import BoundedConnection, answers_within

pytestmark = pytest.mark.django_db(transaction=True)


def ask() -> int:
    """Return the number of the database process that serves this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def execute_elsewhere(statement: str, *values: object) -> None:
    """Run a statement in a session of its own."""
    parameters = {**connection.get_connection_params()}
    names = ("dbname", "user", "password", "host", "port")
    own = {name: parameters[name] for name in names if parameters.get(name)}
    with psycopg.connect(**own, autocommit=True) as other:
        other.execute(statement.encode(), values)


@pytest.fixture
def backend() -> Iterator[int]:
    yield ask()
    connection.close()


def test_a_connection_that_lives_is_kept(backend: int) -> None:
    for _ in range(3):
        close_if_dead()
        assert ask() == backend


def test_a_connection_that_the_server_ended(backend: int) -> None:
    execute_elsewhere("SELECT pg_terminate_backend(%s, 60000)", backend)
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


# --- A table that is changed under a session -----------------------------------------------------


def read_x() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT x FROM changing")


@pytest.fixture
def changing(backend: int) -> Iterator[None]:
    """A table, and a statement that this session has prepared."""
    connection.cursor().execute("CREATE TABLE changing (x int)")
    for _ in range(3):
        read_x()
    yield
    connection.cursor().execute("DROP TABLE changing")


def test_a_column_whose_type_changes(backend: int, changing: None) -> None:
    """What is prepared fails for good: the next request has another connection."""
    execute_elsewhere("ALTER TABLE changing ALTER COLUMN x TYPE bigint")
    for _ in range(2):
        with pytest.raises(StaleStatement) as failed:
            read_x()
    assert isinstance(database_failure(failed.value), DatabaseUnavailable)
    close_old_connections()  # as Django does when a request is over
    read_x()
    assert ask() != backend


def test_what_no_connection_can_do(backend: int) -> None:
    """It has the same code."""
    with pytest.raises(NotSupportedError):
        connection.cursor().execute("SELECT count(*) FROM pg_class FOR UPDATE")
    close_old_connections()
    assert ask() == backend


# --- A session that the server ends --------------------------------------------------------------


def outlast(setting: str) -> None:
    """Be idle until the server ends this session."""
    connection.cursor().execute(f"SET {setting} = 200")
    poll = select.poll()
    poll.register(connection.connection, select.POLLRDHUP)  # what it said has come before
    assert poll.poll(60_000)


def assert_ended_by(setting: str, error: Exception) -> None:
    assert f" {setting} " in (database_sentence(error) or "")
    assert isinstance(database_failure(error), DatabaseUnavailable)


def test_a_session_that_is_idle_for_too_long(backend: int) -> None:
    outlast("idle_session_timeout")
    with pytest.raises(OperationalError) as failed:
        ask()
    assert_ended_by("idle_session_timeout", failed.value)


@pytest.mark.parametrize("more", [ask, lambda: None], ids=["statement", "commit"])
def test_one_that_is_idle_in_a_transaction(backend: int, more: Callable[[], object]) -> None:
    setting = "idle_in_transaction_session_timeout"

    def idle() -> None:
        with transaction.atomic():
            outlast(setting)
            more()

    with pytest.raises(InternalError) as failed:
        idle()
    assert_ended_by(setting, failed.value)
    close_old_connections()
    assert ask() != backend

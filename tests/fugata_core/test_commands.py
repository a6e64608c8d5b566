"""What a command says of a database that can't be used."""

import pytest
from django.core import management
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from django.db.migrations.exceptions import MigrationSchemaMissing

import manage
from fugata_core.commands import NOT_MIGRATED, database_sentence
from fugata_core.database_failures import StaleStatement


class Failure(Exception):
    """PostgreSQL's part of an error."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def caused(error: DatabaseError, sqlstate: str) -> DatabaseError:
    error.__cause__ = Failure(sqlstate)
    return error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("no such table: secrets_app_share"),
        OperationalError("no such column: secrets_app_share.size"),
        OperationalError("table secrets_app_share has no column named size"),
        caused(ProgrammingError("relation does not exist"), "42P01"),
        caused(ProgrammingError("column does not exist"), "42703"),
    ],
)
def test_a_table_or_column_that_is_missing(error: DatabaseError) -> None:
    assert database_sentence(error) == NOT_MIGRATED


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database is locked"),
        caused(OperationalError("canceling statement due to lock timeout"), "55P03"),
    ],
)
def test_a_lock(error: DatabaseError) -> None:
    assert "Another session" in (database_sentence(error) or "")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (DatabaseError("file is not a database"), "SQLite"),
        (OperationalError("attempt to write a readonly database"), "only be read"),
        (caused(InternalError("cannot execute INSERT"), "25006"), "only be read"),
        (caused(ProgrammingError("permission denied for table"), "42501"), "own the tables"),
        (MigrationSchemaMissing("Unable to create (permission denied for schema)"), "own the"),
        (caused(ProgrammingError("relation already exists"), "42P07"), "another program"),
        (OperationalError("connection refused"), "Is it running"),
        (OperationalError("Connection refused"), "nobody listens there"),
        (OperationalError("database or disk is full"), "disk of the database is full"),
        (caused(OperationalError("could not extend file"), "53100"), "disk of the database"),
        (caused(OperationalError("sorry"), "53300"), "no more connections"),
        (OperationalError('FATAL: too many connections for role "x"'), "no more connections"),
        (caused(OperationalError("canceling"), "57014"), "statement_timeout"),
        (caused(InternalError("ended"), "25P03"), " idle_in_transaction_session_timeout "),
        (caused(InternalError("ended"), "25P04"), " transaction_timeout "),
        (caused(OperationalError("ended"), "57P05"), " idle_session_timeout "),
        (caused(StaleStatement("cached plan"), "0A000"), "Run it again"),
        (caused(ProgrammingError("already exists"), "42P05"), "prepare_threshold=none"),
        (caused(OperationalError("does not exist"), "26000"), "prepare_threshold=none"),
    ],
)
def test_a_database_that_can_t_be_used(error: DatabaseError, word: str) -> None:
    assert word in (database_sentence(error) or "")


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_a_sentence_ends_the_command(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str]) -> None:
        raise kind("connection already closed")

    monkeypatch.setattr(management, "execute_from_command_line", fail)
    with pytest.raises(SystemExit, match="DATABASE_URL: the database can't be used"):
        manage.run(["manage.py", "list_keys"])


def test_a_code_counts_and_not_what_a_text_quotes() -> None:
    assert database_sentence(caused(ProgrammingError("(no such table)"), "42601")) is None


def test_what_an_operator_can_do_nothing_about_keeps_its_traceback() -> None:
    assert database_sentence(IntegrityError("UNIQUE constraint failed")) is None
    assert database_sentence(caused(ProgrammingError("syntax error"), "42601")) is None

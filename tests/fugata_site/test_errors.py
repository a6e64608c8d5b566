"""From exceptions to answers: the status, the sentence, and nothing of what went wrong inside."""

import logging
import sqlite3
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from django.http import Http404, HttpRequest
from django.test import RequestFactory
from rest_framework import exceptions

from fugata_core.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    DiskFull,
    FugataError,
    RateLimited,
    RowLocked,
)
from fugata_core.errors import InternalError as UnexpectedError
from fugata_site import errors
from fugata_site.middleware.errors import ErrorMiddleware
from secrets_app.errors import ShareNotFound
from tests.fugata_site.test_architecture import LAYER_OF

HTML = {"accept": "text/html"}


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ShareNotFound(), 404, "Secret not found"),
        (RateLimited(7), 429, "Rate limit exceeded"),
        (OperationalError("s3cret"), 503, "Database unavailable"),
        (InterfaceError("s3cret"), 503, "Database unavailable"),
        (DatabaseError("s3cret"), 500, "Failed to do it"),
        (exceptions.ParseError("s3cret"), 400, None),
        (exceptions.UnsupportedMediaType("s3cret"), 415, None),
        (RuntimeError("s3cret"), 500, "Failed to do it"),
        (KeyError("s3cret"), 500, "Failed to do it"),
    ],
)
def test_what_an_error_stands_for(error: Exception, status: int, sentence: str | None) -> None:
    translated = errors.to_fugata_error(error, "Failed to do it")
    assert translated.status == status
    assert sentence in (None, translated.sentence)
    assert "s3cret" not in translated.sentence


@pytest.mark.parametrize("error", [OperationalError("s3cret"), InterfaceError("s3cret")])
def test_the_log_names_the_kind_of_database_failure(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    errors.to_fugata_error(error)
    (record,) = caplog.records
    assert record.getMessage() == f"the database failed: {type(error).__name__}"
    assert record.levelno == logging.ERROR
    assert "s3cret" not in caplog.text


def test_the_log_has_postgresqls_code(caplog: pytest.LogCaptureFixture) -> None:
    error = OperationalError("s3cret")
    error.__cause__ = psycopg.errors.TooManyConnections("s3cret")
    errors.to_fugata_error(error)
    assert caplog.messages == ["the database failed: OperationalError, TooManyConnections, 53300"]


@pytest.mark.parametrize(
    ("kind", "cause", "answer"),
    [
        (ProgrammingError, psycopg.errors.UndefinedTable, DatabaseRefused),
        (ProgrammingError, psycopg.errors.InsufficientPrivilege, DatabaseRefused),
        (InternalError, psycopg.errors.RaiseException, DatabaseRefused),
        (InternalError, psycopg.errors.IdleInTransactionSessionTimeout, DatabaseUnavailable),
        (InternalError, psycopg.errors.TransactionTimeout, DatabaseUnavailable),
        (DatabaseError, psycopg.errors.FeatureNotSupported, DatabaseRefused),
        (IntegrityError, psycopg.errors.CheckViolation, UnexpectedError),
        (DataError, psycopg.errors.UntranslatableCharacter, UnexpectedError),
        (OperationalError, psycopg.errors.DiskFull, DiskFull),
        (OperationalError, psycopg.errors.LockNotAvailable, RowLocked),
        (ProgrammingError, psycopg.errors.DuplicatePreparedStatement, DatabaseUnavailable),
        (OperationalError, psycopg.errors.InvalidSqlStatementName, DatabaseUnavailable),
    ],
)
def test_every_error_of_a_database(
    kind: type[Exception],
    cause: type[psycopg.Error],
    answer: type[FugataError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line, of kinds and a code; a sentence of the API's for what is no outage."""
    error = kind("s3cret")
    error.__cause__ = cause("DETAIL: Failing row contains (s3cret)")
    translated = errors.to_fugata_error(error, "Failed to do it")
    assert type(translated) is answer
    assert translated.status == (500 if issubclass(answer, UnexpectedError) else 503)
    assert translated.status == 503 or translated.sentence == "Failed to do it"
    (record,) = caplog.records
    assert not record.exc_info
    assert "s3cret" not in caplog.text
    assert cause.sqlstate is not None
    assert answer is RowLocked or cause.sqlstate in record.getMessage()


def test_a_database_of_sqlite_that_is_locked(tmp_path: Path) -> None:
    """By a back-up, say: nothing is wrong with it."""
    with closing(sqlite3.connect(tmp_path / "db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with (
            closing(sqlite3.connect(tmp_path / "db", timeout=0)) as waiting,
            pytest.raises(sqlite3.OperationalError) as refused,
        ):
            waiting.execute("BEGIN IMMEDIATE")
    error = OperationalError("database is locked")
    error.__cause__ = refused.value
    assert type(errors.to_fugata_error(error)) is RowLocked


def test_the_log_says_what_pgbouncer_needs(caplog: pytest.LogCaptureFixture) -> None:
    error = ProgrammingError("s3cret")
    error.__cause__ = psycopg.errors.DuplicatePreparedStatement("s3cret")
    errors.to_fugata_error(error)
    assert "DATABASE_URL: Behind PgBouncer, it needs ?prepare_threshold=none" in caplog.text


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('FATAL:  role "s3cret" is not permitted to log in', "the role is refused"),
        ('FATAL:  password authentication failed for user "s3cret"', "the role is refused"),
        ('FATAL:  database "s3cret" does not exist', "no such database"),
        ('FATAL:  too many connections for role "s3cret"', "too many connections"),
        ("FATAL:  sorry, too many clients already", "too many connections"),
        ("failed to resolve host 's3cret': [Errno -2]", "no such host"),
        ('connection to server at "s3cret" failed: Connection refused', "nobody listens there"),
        ("connection timeout expired", "no answer in time"),
        ("FATAL:  the database system is starting up", "it is starting or stopping"),
        ('connection to "s3cret" failed: session is read-only', "it can only be read"),
        ("consuming input failed: server closed the connection", "it ended the session"),
    ],
)
def test_the_log_says_why_there_is_no_connection(
    said: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL's driver has no code for that."""
    error = OperationalError(said)
    error.__cause__ = psycopg.OperationalError(said)
    errors.to_fugata_error(error)
    assert caplog.messages == [f"the database failed: OperationalError, {reason}"]


def request(path: str, **headers: str) -> HttpRequest:
    return RequestFactory().get(path, headers=headers)


@pytest.mark.parametrize(
    ("path", "headers", "page"),
    [
        ("/", {}, True),
        ("/s/x", {}, True),
        ("/s/x/delete", {"accept": "application/json"}, True),
        ("/secrets", {}, False),
        ("/secrets/x", HTML, False),
        ("/repositories/x", HTML, False),
        ("/nowhere", {}, False),
        ("/nowhere", HTML, True),
    ],
)
def test_who_gets_a_page(path: str, headers: dict[str, str], page: bool) -> None:
    answer = errors.error_response(request(path, **headers), ShareNotFound())
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html" if page else "application/json")
    assert answer["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize("path", ["/secrets", "/s/x"])
def test_the_errors_headers_are_the_answers(path: str) -> None:
    assert errors.error_response(request(path), RateLimited(7))["Retry-After"] == "7"


def all_errors() -> list[type[FugataError]]:
    for package in LAYER_OF:
        if find_spec(f"{package}.errors"):
            import_module(f"{package}.errors")
    found, left = [], [FugataError]
    while left:
        found.append(left.pop())
        left += found[-1].__subclasses__()
    return found


def test_the_errors_of_every_app_are_looked_at() -> None:
    assert {"ShareNotFound", "SecretNotFound"} <= {kind.__name__ for kind in all_errors()}


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: str(kind.__name__))
def test_every_error_owns_its_status_and_sentence(kind: type[FugataError]) -> None:
    assert 400 <= kind.status < 600
    assert kind.sentence
    assert kind.title
    assert kind.__doc__ or kind.sentence != FugataError.sentence


def test_pages_turn_exceptions_into_pages() -> None:
    middleware = ErrorMiddleware(lambda request: errors.not_found(request, Http404()))
    answer = middleware.process_exception(request("/s/x"), OperationalError("s3cret"))
    assert answer is not None
    assert answer.status_code == 503
    assert b"s3cret" not in answer.content
    for left_to_django in (Http404(), SuspiciousOperation()):
        assert middleware.process_exception(request("/s/x"), left_to_django) is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, lambda asked: errors.bad_request(asked, SuspiciousOperation())),
        (403, lambda asked: errors.forbidden(asked, PermissionDenied())),
        (404, lambda asked: errors.not_found(asked, Http404())),
        (500, errors.server_error),
    ],
)
def test_djangos_own_handlers(status: int, answer: object) -> None:
    assert callable(answer)
    made = answer(request("/secrets/x"))
    assert made.status_code == status
    assert made["Content-Type"] == "application/json"

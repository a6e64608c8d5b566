"""From exceptions to answers: the status, the sentence, and nothing of what went wrong inside."""

import logging
from importlib import import_module
from importlib.util import find_spec

import psycopg
import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from django.test import RequestFactory
from rest_framework import exceptions

from fugata_core.errors import FugataError, RateLimited
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

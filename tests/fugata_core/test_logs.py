"""Logs tell nothing that opens, deletes or names anybody."""

import logging
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from fugata_core.logs import RedactingFormatter, redact
from fugata_server.logger import GunicornLogger
from secrets_app import ids

ID = "fug_" + "Ab3" * 8
TOKEN = "tok_" + "Zy9" * 8
RANDOM = ("Ab3" * 8, "Zy9" * 8)


@pytest.mark.parametrize(
    "text",
    [
        ID,
        TOKEN,
        f"opened {ID}.",
        f"GET /secrets/{ID} HTTP/1.1",
        f"GET /s/{ID}/delete HTTP/1.1",
        f"http://localhost:8080/s/{ID}?x=1",
        f"Authorization: Bearer {TOKEN}",
        f'{{"id":"{ID}","deletion_token":"{TOKEN}"}}',
        f"id={ID}&deletion_token={TOKEN}",
        f"({ID},{TOKEN})",
        f"/secrets/{ID}\n/secrets/{ID}",
        f"/secrets//{ID}",
        f"/secrets%2F{ID}",
        f"/nowhere/x%2F{ID}",
        f"/nowhere?id=fug%5F{ID[4:]}&token=tok%5f{TOKEN[4:]}",
        f"_{ID}",
        f"id{ID}",
        f"/secrets/{ID[4:]}",
        f"/s/{ID[4:]}",
        f"/secrets/{ID} and /s/{ID}",
        f"Error handling request /secrets/{ID}",
        f"Invalid request from ip=192.0.2.1: Invalid HTTP request line: '{ID} {TOKEN}'",
    ],
)
def test_ids_and_tokens(text: str) -> None:
    assert not any(secret in redact(text) for secret in RANDOM)


@pytest.mark.parametrize(
    "text",
    [
        "Invalid request from ip=192.0.2.1: Invalid HTTP request line: 's3cret'",
        "Invalid request from ip=2001:db8::1: Invalid Header\ns3cret\nmore s3cret",
        "Error handling request /?q=s3cret",
    ],
)
def test_what_gunicorn_quotes(text: str) -> None:
    cleaned = redact(f"2026-01-01 WARNING gunicorn.error: {text}")
    assert "s3cret" not in cleaned
    assert "192.0.2.1" not in cleaned
    assert "2001:db8" not in cleaned
    assert cleaned.startswith("2026-01-01 WARNING gunicorn.error: ")


@pytest.mark.parametrize(
    "text",
    [
        "Listening at: http://127.0.0.1:8080",
        "health: Database connection failed",
        "GET /secrets HTTP/1.1",
        "GET /static/fugata.css HTTP/1.1",
        "GET /s HTTP/1.1",
        "prefug_ is no id",
    ],
)
def test_the_rest_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_wherever_it_stands(before: str, after: str) -> None:
    share_id, token = ids.new_share_id(), ids.new_deletion_token()
    cleaned = redact(f"{before}{share_id}{after}{token}")
    assert share_id[4:] not in cleaned
    assert token[4:] not in cleaned


def formatted(message: str, *arguments: object, error: Exception | None = None) -> str:
    record = logging.LogRecord("name", logging.ERROR, __file__, 1, message, arguments, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return RedactingFormatter().format(record)


def test_arguments_and_tracebacks_too() -> None:
    assert ID not in formatted("opened %s", ID)
    try:
        raise RuntimeError(f"no route to /secrets/{ID} for {TOKEN}")
    except RuntimeError as error:
        text = formatted("failed", error=error)
    assert "RuntimeError: no route to /secrets/[redacted]" in text
    assert not any(secret in text for secret in RANDOM)


def test_an_exception_that_quotes_the_request_line_is_cut_short() -> None:
    try:
        raise ValueError("s3cret")
    except ValueError as error:
        text = formatted("Invalid request from ip=192.0.2.1: s3cret", error=error)
    assert "s3cret" not in text


@pytest.fixture
def gunicorn_logger() -> GunicornLogger:
    return GunicornLogger(Config())


def test_gunicorn_writes_through_the_same_formatter(gunicorn_logger: GunicornLogger) -> None:
    logs = (gunicorn_logger.error_log, gunicorn_logger.access_log)
    handlers = [
        handler for log in logs for handler in log.handlers if hasattr(handler, "_gunicorn")
    ]
    assert handlers
    assert all(isinstance(handler.formatter, RedactingFormatter) for handler in handlers)


def test_the_access_log_names_nobody(gunicorn_logger: GunicornLogger) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/secrets/{ID}",
        "RAW_URI": f"/secrets/{ID}?q=s3cret",
        "QUERY_STRING": "q=s3cret",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_REFERER": f"http://localhost/s/{ID}",
        "HTTP_AUTHORIZATION": "Basic czNjcmV0OnB3",
        "HTTP_USER_AGENT": "agent",
    }
    response = SimpleNamespace(status="200 OK", sent=2, headers=[])
    request = SimpleNamespace(headers=[])
    elapsed = SimpleNamespace(seconds=0, microseconds=1, total_seconds=lambda: 0.0)
    atoms = gunicorn_logger.atoms(response, request, environ, elapsed)
    from fugata_site import gunicorn_conf

    line = gunicorn_conf.access_log_format % {
        name: str(value) for name, value in atoms.items() if not name.startswith("{")
    }
    assert '"GET /secrets/[redacted] HTTP/1.1" 200' in line
    for plain in (ID[4:], "s3cret", "192.0.2.1"):
        assert plain not in line
        assert plain not in "".join(str(atoms[name]) for name in "hlufqrU")


def test_the_databases_driver_does_not_log_what_it_ignores() -> None:
    """It would say "error ignored in rollback", with the error's text."""
    assert not logging.getLogger("psycopg").isEnabledFor(logging.WARNING)


FORGED = (
    "x]\n2026-11-28 04:30:00,000 INFO audit_app.publish: audit head 9:ab\r\u2028\x85\x1b[2J\x9b2J"
)


def test_what_a_message_quotes_begins_no_line() -> None:
    text = formatted("Task %s", FORGED)
    assert text.isprintable()
    assert r"Task x]\n2026-11-28 04:30:00,000 INFO" in text
    assert r"\r\u2028\n\u001b[2J\u009b2J" in text


def raise_from_another() -> None:
    try:
        raise KeyError("first") from ValueError(FORGED)
    except KeyError as error:
        raise ExceptionGroup(FORGED, [RuntimeError(FORGED)]) from error


def test_what_an_exception_says_begins_no_line() -> None:
    try:
        raise_from_another()
    except ExceptionGroup as error:
        lines = formatted("failed", error=error).split("\n")
    assert all(line.isprintable() for line in lines)
    quoting = [line for line in lines if "audit head" in line]
    assert [line.lstrip(" +|").partition(": ")[0] for line in quoting] == [
        *("ValueError", "ExceptionGroup", "RuntimeError")
    ]
    assert any(line.startswith('  File "') for line in lines), "the frames are lines of their own"

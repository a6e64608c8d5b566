"""LOG_FORMAT=json: one object a line, that says no more than the text does."""

import json
import logging
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery import shared_task
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from fugata_core.logs import JsonFormatter, RedactingFormatter, formatter, redact, request_id
from fugata_core.requests import FugataRequest
from fugata_core.terminal import escaped
from fugata_server.logger import GunicornLogger
from fugata_site.middleware.response_headers import ResponseHeadersMiddleware
from secrets_app import ids

ID = "fug_" + "Ab3" * 8
TOKEN = "tok_" + "Zy9" * 8


def record(message: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    made = logging.LogRecord("name", logging.ERROR, __file__, 1, message, arguments, None)
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    return made


def line(message: str, *arguments: object, error: Exception | None = None) -> dict[str, Any]:
    text = JsonFormatter().format(record(message, *arguments, error=error))
    assert "\n" not in text
    fields: dict[str, Any] = json.loads(text)
    return fields


def raised(text: str) -> Exception:
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        return error


def test_fields() -> None:
    fields = line("%s\nand \x00 %s", "one", "\ud800")
    assert fields.keys() == {"time", "level", "logger", "message"}
    assert (fields["level"], fields["logger"]) == ("ERROR", "name")
    assert fields["message"] == "one\nand \x00 \ud800"
    assert datetime.fromisoformat(fields["time"]).utcoffset() is not None


def test_a_traceback_has_a_field() -> None:
    fields = line("failed", error=raised("because"))
    assert fields["message"] == "failed"
    assert fields["exception"].startswith("Traceback")
    assert fields["exception"].endswith("RuntimeError: because")


@pytest.mark.parametrize(
    "message",
    [
        f"opened {ID} with {TOKEN}",
        f"GET /secrets/{ID}/x HTTP/1.1",
        f"Error handling request /nowhere?{TOKEN}",
        f"Invalid request from ip=192.0.2.1: {ID}",
    ],
)
def test_nothing_that_the_text_leaves_out(message: str) -> None:
    error = raised(f"no route to /secrets/{ID} for {TOKEN}: 192.0.2.1")
    written = json.dumps(line(message, error=error if "ip=" in message else None))
    written += json.dumps(line("failed", error=raised(f"/secrets/{ID} for {TOKEN}")))
    for secret in (ID[4:], TOKEN[4:], "192.0.2.1"):
        assert secret not in written


def test_what_gunicorn_quotes_takes_its_traceback_with_it() -> None:
    fields = line("Invalid request from ip=192.0.2.1: s3cret", error=raised("s3cret"))
    assert fields["message"] == "Invalid request refused"
    assert "exception" not in fields


def unbroken(text: str) -> str:
    """Return it without line breaks, escaped or not, and all else escaped as the text is."""
    return escaped(text).replace(r"\u0085", r"\n").replace(r"\n", "")


@given(message=st.text(max_size=60), reason=st.text(max_size=60), cut=st.integers(0, 60))
def test_the_same_as_the_text(message: str, reason: str, cut: int) -> None:
    """Whatever is around it: what is redacted there is redacted here."""
    share_id = ids.new_share_id()
    message, error = f"{message[:cut]}{share_id}{message[cut:]}", raised(reason + share_id)
    fields = line("%s", message, error=error)
    written = fields["message"] + fields.get("exception", "")
    assert share_id[4:] not in written
    plain = RedactingFormatter().format(record("%s", message, error=error))
    assert unbroken(plain.partition(" ERROR name: ")[2]) == unbroken(written)
    assert fields["message"] == redact(message)


def answered(request: HttpRequest, seen: list[str]) -> HttpResponse:
    def answer(request: HttpRequest) -> HttpResponse:
        seen.append(line("inside").get("request_id", ""))
        if request.path == "/fails":
            raise RuntimeError("injected")
        return HttpResponse()

    return ResponseHeadersMiddleware(answer)(cast(FugataRequest, request))


def test_lines_of_a_request_have_its_id() -> None:
    seen: list[str] = []
    given_id = RequestFactory().get("/", headers={"x-request-id": "the-clients-own"})
    response = answered(given_id, seen)
    assert seen == ["the-clients-own"] == [response.headers["X-Request-ID"]]
    with pytest.raises(RuntimeError):
        answered(RequestFactory().get("/fails"), seen)
    assert seen[1]
    assert "request_id" not in line("afterwards")


@shared_task(name="tests.log_something")
def log_something() -> dict[str, Any]:
    """A task."""
    return line("inside")


def test_lines_of_a_task_have_its_id() -> None:
    fields = log_something.apply(task_id="the-task").get()
    assert (fields["task"], fields["task_id"]) == ("tests.log_something", "the-task")
    assert "task_id" not in line("afterwards")


def test_the_access_log_has_the_id_of_the_answer(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    settings.LOG_FORMAT = "json"
    config = Config()
    config.set("accesslog", "-")
    logger = GunicornLogger(config)
    response = SimpleNamespace(status="200 OK", sent=2, headers=[("X-Request-ID", "of-the-answer")])
    elapsed = SimpleNamespace(seconds=0, microseconds=1, total_seconds=lambda: 0.0)
    place = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/s/{ID}",
        "RAW_URI": "",
        "SERVER_PROTOCOL": "x",
    }
    logger.access(response, SimpleNamespace(headers=[]), place, elapsed)
    written = capfd.readouterr()
    fields = json.loads((written.out + written.err).strip().splitlines()[-1])
    assert fields["request_id"] == "of-the-answer"
    assert ID[4:] not in json.dumps(fields)
    assert request_id.get() == ""


@pytest.mark.parametrize(("name", "kind"), [("json", JsonFormatter), ("text", RedactingFormatter)])
def test_the_setting_names_the_formatter(name: str, kind: type[logging.Formatter]) -> None:
    assert type(formatter(name)) is kind

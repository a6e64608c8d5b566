"""What a database said is not logged: nor what was raised from it, or while it was handled."""

import json
import logging
import sqlite3
import sys
from collections.abc import Callable

import psycopg
import pytest
from django.db import IntegrityError

from fugata_core.logs import formatter
from fugata_core.tracebacks import show

QUOTED = "s3cret"


class OwnError(psycopg.Error):
    """One derived from a driver's."""


def fail(error: Exception) -> None:
    raise error


def driver(kind: type[Exception] = psycopg.errors.CheckViolation) -> Exception:
    return kind(f"DETAIL: Failing row contains ({QUOTED})")


def from_the_driver() -> None:
    try:
        fail(driver())
    except psycopg.Error as error:
        raise IntegrityError(str(error)) from error


def from_djangos() -> None:
    try:
        from_the_driver()
    except IntegrityError as error:
        raise ValueError(str(error)) from error


def instead_of_djangos() -> None:
    try:
        from_the_driver()
    except IntegrityError as error:
        raise ValueError(str(error)) from None


def while_handling_it() -> None:
    try:
        from_the_driver()
    except IntegrityError as error:
        fail(KeyError(str(error)))


def in_a_group() -> None:
    raise ExceptionGroup(QUOTED, [ValueError(), driver()])


def with_a_note() -> None:
    error = driver()
    error.add_note(QUOTED)
    raise error


WAYS: list[Callable[[], None]] = [
    lambda: fail(driver()),
    lambda: fail(driver(OwnError)),
    lambda: fail(driver(sqlite3.IntegrityError)),
    lambda: fail(driver(IntegrityError)),
    from_the_driver,
    from_djangos,
    instead_of_djangos,
    while_handling_it,
    in_a_group,
    with_a_note,
]


def raised(way: Callable[[], None]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        way()
    return caught.value


def logged(log_format: str, error: Exception) -> str:
    record = logging.LogRecord("name", logging.ERROR, __file__, 1, "a request failed", (), None)
    record.exc_info = (type(error), error, error.__traceback__)
    return formatter(log_format).format(record)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_kinds_and_places_are_logged(way: Callable[[], None], log_format: str) -> None:
    error = raised(way)
    text = logged(log_format, error)
    assert QUOTED not in text
    assert f"{type(error).__name__}: [redacted]" in text
    assert f", line {error.__traceback__ and error.__traceback__.tb_lineno}, in" in text


@pytest.mark.parametrize("way", WAYS)
def test_a_command_ends_with_the_same(
    way: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    error = raised(way)
    show(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert QUOTED not in said
    assert f"{type(error).__name__}: [redacted]" in said


def test_it_is_what_ends_every_process_of_ours() -> None:
    assert sys.excepthook is show


def test_all_that_led_to_it_is_told_in_order() -> None:
    text = json.loads(logged("json", raised(from_djangos)))["exception"]
    places = [text.index(f"{kind}: [") for kind in ("CheckViolation", "IntegrityError")]
    assert places == sorted(places)
    assert places[-1] < text.index("ValueError: [")


def test_what_no_database_said_is_logged_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    error = raised(lambda: fail(RuntimeError("because")))
    assert "RuntimeError: because" in logged("text", error)
    show(type(error), error, error.__traceback__)
    assert "RuntimeError: because" in capsys.readouterr().err

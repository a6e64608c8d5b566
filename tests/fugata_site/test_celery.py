"""What the worker says of a task that fails."""

import pytest
from django.db import OperationalError

from fugata_site.celery import app
from secrets_app import tasks
from vault_app.errors import StoreUnavailable


def _fails_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(tasks, "purge_answers", fail)
    tasks.purge_expired.apply()


@pytest.mark.parametrize("error", [OperationalError("gone: hunter2"), StoreUnavailable("hunter2")])
def test_what_is_away_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    _fails_with(monkeypatch, error)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == f"purge_expired failed: {type(error).__name__}"
    assert not record.exc_info


def test_what_nobody_foresaw_is_said_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _fails_with(monkeypatch, ArithmeticError())
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info


def test_an_outage_of_any_length_ends_no_worker() -> None:
    """Celery would give up after a hundred tries, with a stack trace."""
    assert app.conf.broker_connection_max_retries is None

"""What the worker says of a task that fails."""

import logging
from collections.abc import Callable

import psycopg
import pytest
import redis
from celery.exceptions import WorkerShutdown
from celery.worker import request
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from kombu import Connection
from kombu.utils import symbol_by_name

from fugata_server.broker import connected
from fugata_site.celery import app, count_success
from operations_app import statistics
from secrets_app import tasks
from tests.support.servers.parts import RedisServer, free_port
from vault_app.errors import StoreUnavailable


def _fails_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(tasks, "purge_answers", fail)
    tasks.purge_expired.apply()


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("gone: hunter2"),
        InternalError("over: hunter2"),
        StoreUnavailable("hunter2"),
    ],
)
def test_what_is_away_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    _fails_with(monkeypatch, error)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == f"purge_expired failed: {type(error).__name__}"
    assert not record.exc_info


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_a_task_ended_well_where_that_cannot_be_noted(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str) -> None:
        raise kind("hunter2")

    monkeypatch.setattr(statistics, "record_success", fail)
    count_success(tasks.purge_expired)
    assert caplog.messages == [f"that purge_expired ended well was not noted: {kind.__name__}"]


def quoting() -> Exception:
    """What Django raises of a row that a constraint refuses."""
    error = IntegrityError("DETAIL: Failing row contains (hunter2)")
    error.__cause__ = psycopg.errors.CheckViolation(str(error))
    return error


def derived() -> Exception:
    error = ValueError(str(quoting()))
    error.__context__ = quoting()
    return error


@pytest.mark.parametrize("make", [quoting, derived])
def test_what_a_database_said_is_in_no_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, make: Callable[[], Exception]
) -> None:
    """Nor in Celery's own, at whatever level."""
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", "celery.app.trace")
    _fails_with(monkeypatch, make())
    assert any(record.name == "celery.app.trace" for record in caplog.records)
    assert "hunter2" not in caplog.text
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "CheckViolation, IntegrityError" in record.getMessage()
    assert "23514" in record.getMessage()


def test_nothing_but_json_is_sent_or_taken() -> None:
    conf = app.conf
    assert {conf.task_serializer, conf.result_serializer, conf.event_serializer} == {"json"}
    assert conf.accept_content == conf.result_accept_content == ["json"]


def test_what_nobody_foresaw_is_said_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _fails_with(monkeypatch, ArithmeticError())
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info


def test_an_outage_of_any_length_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery would give up after a hundred tries, with a stack trace."""
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda seconds: None)

    def stop_in_the_end() -> None:
        if len(caplog.records) > 150:
            raise WorkerShutdown

    with Connection(f"redis://127.0.0.1:{free_port()}/0") as away, pytest.raises(WorkerShutdown):
        connected(away, stop_in_the_end)
    said = {record.getMessage() for record in caplog.records}
    assert said == {"can't connect to the queue (ConnectionError); trying again"}


def test_a_task_that_cannot_be_taken_off_the_queue(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Redis becomes a replica while the task runs. Celery would log ids, and a stack trace."""
    with Connection(own_redis.url()) as connection, connection.SimpleQueue("tasks") as queue:
        queue.put("hunter2")
        message = queue.get(timeout=10)
        with redis.Redis(port=own_redis.port) as client:
            client.replicaof("127.0.0.1", "1")
        symbol_by_name(app.conf.worker_consumer)
        message.ack_log_error(logging.getLogger(request.__name__), (redis.ReadOnlyError,))
        own_redis.kill()
    (record,) = [record for record in caplog.records if record.name == request.__name__]
    assert record.getMessage().endswith("could not be taken off the queue (ReadOnlyError)")
    assert not record.exc_info

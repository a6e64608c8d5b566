"""A task is begun with no more of a message than what beat sends in one."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from kombu.message import Message

from fugata_server.strategy import strict
from fugata_site.celery import app

PURGE = "secrets_app.tasks.purge_expired"


@pytest.fixture(autouse=True)
def tasks() -> None:
    """Fugata's are there, as in a worker."""
    app.loader.import_default_modules()


def consumer(begin: Callable[[Any], None]) -> SimpleNamespace:
    """Return what Celery's strategy uses of one; requests are handed to `begin`."""
    state = SimpleNamespace(revoked=())
    return SimpleNamespace(
        controller=SimpleNamespace(state=state),
        on_task_request=begin,
        hostname="here",
        task_buckets={PURGE: None},
        connection_errors=(),
        event_dispatcher=None,
        disable_rate_limits=True,
        pool=SimpleNamespace(apply_async=None),
        timer=SimpleNamespace(call_at=None),
        **dict.fromkeys(("apply_eta_task", "_limit_task", "_limit_post_eta")),
    )


def begun(**headers: Any) -> Any:
    """Return the request that a message to purge becomes."""
    requests: list[Any] = []
    message = Message(
        '[[], {}, {"callbacks": null}]',
        content_type="application/json",
        content_encoding="utf-8",
        headers={"task": PURGE, "id": str(uuid4())} | headers,
    )
    strict(app.tasks[PURGE], app, consumer(requests.append))(message, None, None, None, [])
    (request,) = requests
    return request


def test_names_and_times_of_the_message_are_not_used() -> None:
    request = begun(shadow="forged", eta="2999-01-01T00:00:00+00:00", timelimit=[1, 1])
    assert (request.name, request.eta, request.time_limits) == (PURGE, None, (None, None))


def test_the_expiry_is() -> None:
    assert begun(expires="2999-01-01T00:00:00+00:00").expires.year == 2999


def test_each_task_is_begun_so() -> None:
    assert PURGE in app.tasks
    assert {task.Strategy for task in app.tasks.values()} == {"fugata_server.strategy:strict"}

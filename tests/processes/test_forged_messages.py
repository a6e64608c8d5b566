"""Messages on the queue that beat would not send: none starts a task, or a line in the log."""

import json
from base64 import b64encode
from typing import Any
from uuid import uuid4

import pytest
import redis

from fugata_site.celery import app
from tests.conftest import MakeService
from tests.processes.test_pickles import PURGE, QUICK_BEAT, _goes_on
from tests.support.servers.parts import RedisServer, wait_until
from tests.support.servers.service import Service

SEAL = "audit_app.tasks.seal_audit_events"
LINE = "2026-11-28 04:30:00,000 INFO audit_app.publish: audit head 999:abab"
FORGED = f"x]\n{LINE}\n\x1b[2J"
NONE = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
BUILT_IN = sorted(name for name in app.tasks if name.startswith("celery."))
AFTERWARDS = [{"task": PURGE, "args": [FORGED], "kwargs": {}, "options": {"task_id": FORGED}}]


def _message(body: Any, **headers: Any) -> bytes:
    """Return a message as Redis holds it: to purge, unless the headers say otherwise."""
    properties = {
        "delivery_tag": str(uuid4()),
        "delivery_info": {"exchange": "", "routing_key": "tasks"},
        "body_encoding": "base64",
    }
    whole = {
        "body": b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": PURGE, "id": str(uuid4())} | headers,
        "properties": properties,
    }
    return json.dumps(whole).encode()


def _without_header(name: str, body: Any) -> bytes:
    whole = json.loads(_message(body))
    del whole["headers"][name]
    return json.dumps(whole).encode()


REFUSED = {
    "an id that is no UUID": _message([[], {}, NONE], id=FORGED),
    "an id that is a number": _message([[], {}, NONE], id=5),
    "no id": _without_header("id", [[], {}, NONE]),
    "an id with a line behind it": _message([[], {}, NONE], id=f"{uuid4()}\n"),
    "an argument": _message([[FORGED], {}, NONE]),
    "a named argument": _message([[], {FORGED: 1}, NONE], task=SEAL),
    "a task afterwards": _message([[], {}, NONE | {"callbacks": AFTERWARDS}]),
    "a chain": _message([[], {}, NONE | {"chain": AFTERWARDS}]),
    "no embedded part": _message([[], {}]),
    "the older protocol": _without_header(
        "task", {"task": PURGE, "id": str(uuid4()), "args": [], "kwargs": {}}
    ),
    "both protocols": _message({"task": PURGE, "id": str(uuid4()), "args": [], "kwargs": {}}),
} | {name: _message([[], {}, NONE], task=name) for name in BUILT_IN}


def _put(service: Service, *messages: bytes) -> None:
    with redis.Redis.from_url(service.settings["REDIS_URL"]) as client:
        client.lpush("fugata:tasks", *messages)


@pytest.fixture
def service(make_service: MakeService, redis_server: RedisServer) -> Service:
    return make_service(REDIS_URL=redis_server.url(), DJANGO_SETTINGS_MODULE=QUICK_BEAT)


def test_what_beat_would_not_send_is_dropped(service: Service) -> None:
    assert len(BUILT_IN) == 9, "Celery's own tasks"
    for number, (what, message) in enumerate(REFUSED.items()):
        _put(service, message)
        wait_until(lambda before=number: _dropped(service) > before, what)  # type: ignore[misc]
    _goes_on(service)
    assert _dropped(service) == len(REFUSED)
    _says_nothing_of_it(service)


def _dropped(service: Service) -> int:
    return service.logged().count("dropped unread")


def _says_nothing_of_it(service: Service) -> None:
    for word in ("abab", "audit head 999", "\x1b", "raised", "failed"):
        assert word not in service.logged()


def test_other_headers_are_not_used(service: Service) -> None:
    _put(service, _message([[], {}, NONE], shadow=FORGED, eta=FORGED, timelimit=FORGED))
    _goes_on(service)
    assert not _dropped(service)
    _says_nothing_of_it(service)

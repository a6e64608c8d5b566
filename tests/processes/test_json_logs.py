"""LOG_FORMAT=json: all that a service writes can be read by a program, and names nobody."""

import json
from typing import Any

import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import create, create_request, open_share
from tests.support.clients.wire import Line, exchange, request
from tests.support.faults.failing import LEAKED_ID, LEAKED_TOKEN
from tests.support.servers.service import Service


def lines(service: Service) -> list[dict[str, Any]]:
    """Return what was written; fails where a line is no JSON object."""
    return [json.loads(line) for line in service.logged().splitlines()]


@pytest.mark.parametrize("redis", [False, True], ids=["one process", "three"])
def test_every_line_is_an_object(make_service: MakeService, redis: bool) -> None:
    more = {"WEB_CONCURRENCY": "3"} if redis else {}
    service = make_service(start=False, redis=redis)
    service.settings |= {"LOG_FORMAT": "json", "ACCESS_LOG": "1"} | more
    service.start()
    share = create(service.port)
    assert open_share(service.port, share).status == 200
    named = request("GET", "/secrets/nothing", x_request_id="of-the-client")
    assert exchange(service.port, named).status == 404
    with Line(service.port) as line:
        line.send(f"{share.id} {share.token}\r\n\r\n".encode()).half_close()
        while not line.ended():
            pass
    assert service.stop() == 0
    written = lines(service)
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, written))
    (access,) = [each for each in written if each.get("request_id") == "of-the-client"]
    assert "GET /secrets/[redacted]" in access["message"]
    loggers = {each["logger"] for each in written}
    assert {"gunicorn.error", "gunicorn.access"} <= loggers
    assert share.id[4:] not in service.logged()
    assert share.token[4:] not in service.logged()


def test_a_failure_is_written_with_its_request_and_without_its_secrets(
    make_service: MakeService,
) -> None:
    service = make_service(
        LOG_FORMAT="json", VALUE_STORE="tests.support.faults.failing.FailingStore"
    )
    answer = exchange(service.port, create_request("s"))
    assert answer.status == 500
    (failure,) = [each for each in lines(service) if "exception" in each]
    assert failure["request_id"] == answer.headers["x-request-id"]
    assert "RuntimeError: no route to /secrets/[redacted]" in failure["exception"]
    for secret in (LEAKED_ID[4:], LEAKED_TOKEN[4:]):
        assert secret not in service.logged()

"""The head of a request is judged before its body is asked for; and what a HEAD says of a GET."""

import json
import socket

import pytest

from tests.conftest import MakeService
from tests.support.clients.keeping import keeper
from tests.support.clients.sharing import create
from tests.support.clients.wire import Line, exchange, request
from tests.support.servers.service import Service

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
HUGE = "1000000000000"
CSRF = "csrf=" + "c" * 32
SECRETS = "/repositories/team/secrets"

#: Method, path, headers, and the status that a head alone deserves.
REFUSED = {
    "a body over the limit": ("POST", "/secrets", {"content_type": JSON}, 413),
    "another media type": ("POST", "/secrets", {"content_type": "text/plain"}, 415),
    "no media type": ("POST", "/secrets", {}, 415),
    "a compressed body": (
        "POST",
        "/secrets",
        {"content_type": JSON, "content_encoding": "gzip"},
        415,
    ),
    "a path that is not there": ("POST", "/nowhere", {"content_type": JSON}, 404),
    "a method that is not allowed": ("PUT", "/secrets", {"content_type": JSON}, 405),
    "a form to what is only read": ("POST", "/docs", {"content_type": FORM, "cookie": CSRF}, 403),
    "a form with another method": ("PUT", "/", {"content_type": FORM}, 405),
    "no token": ("POST", SECRETS, {"content_type": JSON}, 401),
    "a wrong token": (
        "POST",
        SECRETS,
        {"content_type": JSON, "authorization": f"Bearer fgt_{'a' * 40}"},
        401,
    ),
    "a sign-in": ("POST", "/admin/login/", {"content_type": FORM, "cookie": CSRF}, 413),
    "an opening": ("POST", "/s/x", {"content_type": FORM, "cookie": CSRF}, 413),
    "a deletion": ("POST", "/s/x/delete", {"content_type": FORM, "cookie": CSRF}, 413),
    "a secret in a form": ("POST", "/", {"content_type": FORM, "cookie": CSRF}, 413),
    "a form without its cookie": ("POST", "/", {"content_type": FORM}, 403),
    "a sign-in without it": ("POST", "/admin/login/", {"content_type": FORM}, 403),
    "an opening without it": ("POST", "/s/x", {"content_type": FORM}, 403),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("length", [HUGE, "90000000"])
def test_a_refused_body_is_not_asked_for(service: Service, case: str, length: str) -> None:
    method, path, headers, status = REFUSED[case]
    with Line(service.port) as line:
        line.send(
            request(method, path, None, expect="100-continue", content_length=length, **headers)
        )
        assert line.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 %d" % status
        answer = line.answer(method)
        assert answer.headers["connection"] == "close"
        assert line.half_close().ended()


@pytest.mark.parametrize("case", [case for case in REFUSED if case != "a body over the limit"])
def test_who_sends_without_waiting_is_answered(service: Service, case: str) -> None:
    """Some megabytes are read on, so that the answer is not lost to a reset connection."""
    method, path, headers, status = REFUSED[case]
    body = b"a=" + b"x" * 5_000_000
    data = request(method, path, None, content_length=str(len(body)), **headers)
    with Line(service.port) as line:
        answer = line.send(data, body).answer(method)
    assert answer.status == (403 if (method, path) == ("POST", "/") else status)


def test_a_wanted_body_is_asked_for(service: Service) -> None:
    body = json.dumps({"content": "s" * 200_000, "duration": "1h"}).encode()
    head = request("POST", "/secrets", expect="100-continue", content_length=str(len(body)))
    head = head.replace(b"\r\n\r\n", b"\r\ncontent-type: application/json\r\n\r\n")
    with Line(service.port) as line:
        line.send(head)
        assert line.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert line.send(body).answer("POST").status == 201
        assert line.send(request("GET", "/livez")).answer().status == 200


# --- HEAD ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paths(service: Service) -> dict[str, dict[str, str]]:
    """Every kind of path, with the headers that it asks for."""
    share = create(service.port, "s" * 88, one_time=False)
    keep = keeper(service, "team")
    assert keep.set("k", "v").status == 201
    token = {"authorization": f"Bearer {keep.token}"}
    page = {"accept": "text/html"}
    return {
        "/": page,
        f"/s/{share.id}": page,
        "/s/gone": page,
        f"/secrets/{share.id}": {},
        "/secrets/gone": {},
        "/secrets": {},
        SECRETS: token,
        f"{SECRETS}/k": token,
        f"{SECRETS}/gone": token,
        f"{SECRETS}/": {},
        "/healthz": {},
        "/livez": {},
        "/readyz": {},
        "/metrics": {},
        "/openapi.json": {},
        "/docs": {},
        "/nowhere": {},
        "/admin/": {},
        "/admin/login/": {},
        "/static/fugata.css": {},
    }


def test_head_says_what_get_says_or_nothing(
    service: Service, paths: dict[str, dict[str, str]]
) -> None:
    """RFC 9110, section 8.6: the Content-Length of a HEAD is GET's, or there is none."""
    for path, headers in paths.items():
        got = exchange(service.port, request("GET", path, None, **headers))
        head = exchange(service.port, request("HEAD", path, None, **headers))
        assert head.body == b""
        assert head.status == got.status, path
        length = head.headers.get("content-length")
        assert length in (None, str(len(got.body))), path


def test_the_metrics_too(make_service: MakeService) -> None:
    service = make_service(METRICS_TOKEN="a-token-of-the-scraper")
    for token in ("a-token-of-the-scraper", "wrong"):
        given = {"authorization": f"Bearer {token}"}
        got = exchange(service.port, request("GET", "/metrics", None, **given))
        head = exchange(service.port, request("HEAD", "/metrics", None, **given))
        assert head.status == got.status
        length = head.headers.get("content-length")
        assert length is None or abs(int(length) - len(got.body)) < 200  # figures grow meanwhile

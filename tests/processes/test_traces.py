"""Traces: no content, id, token or client address in a database, a file, a log, or Redis."""

import base64
import json
from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.sharing import Share, create, delete_request, open_share
from tests.support.clients.wire import Line, exchange, request
from tests.support.faults.failing import LEAKED_ID, LEAKED_TOKEN
from tests.support.servers.service import Service

CLIENT = "203.0.113.77"
CLIENT_6 = "2001:db8:77::beef"
CONTENT = "Xq7-the-content-that-nobody-may-see-"
GUESS = "tok_" + "Wr0ngGuess" * 3
NO_SHARE = "fug_" + "NoSuchShare" * 2
#: What is kept on purpose: keys, without which nothing could be opened.
KEYS = ("keyring", "secret_key", "audit_key")


def _from_client(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    return request(method, path, body, x_forwarded_for=CLIENT, **headers)


def _body(content: str, **more: object) -> bytes:
    fields = {"content": content, "duration": "1h", "one_time": True} | more
    return json.dumps(fields).encode()


def _shares(port: int) -> list[Share]:
    """Some that stay, one opened, one deleted, each from the recognisable client."""
    shares = []
    for number in range(6):
        content = f"{CONTENT}{number}" * 40
        made = exchange(port, _from_client("POST", "/secrets", _body(content))).json()
        shares.append(Share(made["id"], made["deletion_token"], made["expires_at"], content))
    exchange(port, _from_client("GET", f"/secrets/{shares[0].id}"))
    exchange(port, delete_request(shares[1]))
    six = request("GET", f"/secrets/{shares[2].id}", x_forwarded_for=CLIENT_6)
    assert exchange(port, six).status == 200
    return shares


def _error_paths(port: int, share: Share) -> None:
    """Everything that goes wrong, with something in it that may not be written down."""
    place = f"/secrets/{share.id}"
    for data in (
        _from_client("DELETE", place, authorization=f"Bearer {GUESS}"),
        _from_client("DELETE", place, authorization=f"Basic {share.token}"),
        _from_client("POST", "/secrets", _body(CONTENT)[:-1]),
        _from_client("POST", "/secrets", _body(CONTENT, duration=share.id)),
        _from_client("POST", "/secrets", _body(CONTENT, one_time=share.token)),
        _from_client("POST", "/secrets", _body(CONTENT + "\ud800")),
        _from_client("POST", "/secrets", _body(CONTENT), content_type=f"text/{share.token}"),
        _from_client("PUT", place, _body(CONTENT)),
        _from_client("GET", f"/secrets/{NO_SHARE}", referer=f"http://x{place}"),
        _from_client("GET", f"/s/{share.id}", user_agent=share.token),
        _from_client("POST", f"/s/{share.id}", b"x"),
        _from_client("GET", f"/secrets/{share.id}/more?token={share.token}"),
        _from_client("GET", f"/elsewhere/{share.id}?{share.token}"),
        _from_client("GET", f"//secrets/%66ug_{share.id[4:]}"),
        _from_client("GET", f"/{share.id}"),
        _from_client("GET", place, host=f"{share.token}.example"),
        _from_client("POST", "/secrets", b"x", content_encoding=share.token),
    ):
        assert 400 <= exchange(port, data).status < 500 or b"GET /s/" in data


def _broken_requests(port: int, share: Share) -> None:
    """What gunicorn refuses: it likes to quote it."""
    chunked = _from_client("POST", "/secrets", transfer_encoding="chunked")
    for data in (
        chunked + f"{share.id}\r\n".encode(),
        chunked + f"5\r\n{CONTENT}{share.token}\r\n".encode(),
        f"{share.id} {share.token}\r\n\r\n".encode(),
        f"GET {share.id}\r\n\r\n".encode(),
        f"GET /secrets/{share.id} HTTP/{share.token}\r\n\r\n".encode(),
        f"{share.token} /secrets/{share.id} HTTP/1.1\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\n{CONTENT} {share.token}\r\n\r\n".encode(),
        f"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n {share.token}\r\n\r\n".encode(),
        f"GET /{share.id}{'a' * 9000} HTTP/1.1\r\n\r\n".encode(),
        _from_client("POST", "/secrets", transfer_encoding=share.token),
        _from_client("POST", "/secrets", b"", content_length=share.token),
        _from_client("POST", "/secrets", b"", expect=share.token),
        _longer_than_announced(share),
        _longer_than_announced(share, f"{CONTENT}\r\nsecond line {share.token}\r\n\r\n"),
        _longer_than_announced(share, f"GET {CONTENT} HTTP/1.1\r\nx: {share.token}\r\n\r\n"),
        _longer_than_announced(share, f"POST /secrets?{CONTENT} HTTP/1.1\r\n\r\n"),
    ):
        with Line(port) as line:
            line.send(data).half_close()
            while not line.ended():
                pass


def _longer_than_announced(share: Share, rest: str = "") -> bytes:
    """The rest of a body is parsed as the next request."""
    body = b'{"content": "\r\n\r\n'
    rest = rest or f'{CONTENT}{share.token}", "id": "{share.id}"}}\r\n\r\n'
    return _from_client("POST", "/secrets", body + rest.encode(), content_length=str(len(body)))


def _needles(shares: list[Share]) -> Iterator[bytes]:
    secrets = [CONTENT, CLIENT, CLIENT_6, GUESS, NO_SHARE]
    for share in shares:
        # Half of the random part is enough to be worth hiding, whatever is written before it.
        secrets += [share.id[4:], share.token[4:], share.id[4:16], share.token[-12:]]
    for secret in secrets:
        raw = secret.encode()
        yield raw
        yield raw.hex().encode()
        yield raw[::-1]
        yield secret.encode("utf-16-le")
        yield base64.b64encode(raw)[:-4]


def assert_no_trace(where: list[tuple[str, bytes]], needles: list[bytes]) -> None:
    found = [_around(place, text, n) for place, text in where for n in needles]
    assert not list(filter(None, found))


def _around(place: str, text: bytes, needle: bytes) -> str:
    """Return where `needle` occurs, with what surrounds it, or nothing."""
    at = text.lower().find(needle.lower())
    return f"{place}: {text[max(at - 80, 0) : at + 80]!r}" if at >= 0 else ""


def everything(service: Service) -> list[tuple[str, bytes]]:
    places = [*stored.files(service, *KEYS), ("log", service.logged().encode())]
    if "DATABASE_URL" in service.settings:
        places += stored.tables(service)
    if "REDIS_URL" in service.settings:
        places += stored.redis_entries(service.settings["REDIS_URL"])
    return places


def test_nothing_is_written_down(make_service: MakeService, any_database: str) -> None:
    service = make_service(
        any_database, redis=True, WEB_CONCURRENCY="3", ACCESS_LOG="1", TRUSTED_PROXIES="127.0.0.1"
    )
    shares = _shares(service.port)
    _error_paths(service.port, shares[3])
    _broken_requests(service.port, shares[3])
    needles = list(_needles(shares))
    assert_no_trace(everything(service), needles)  # with what lies in the write-ahead log
    assert service.stop() == 0
    assert_no_trace(everything(service), needles)
    assert "/secrets/[redacted]" in service.logged(), "the access log was on"
    assert "refused by the server, with 400" in service.logged(), "gunicorn's log was there"


def test_no_injected_failure_is_written_down(make_service: MakeService) -> None:
    """An exception that nobody foresaw, whose message holds an id, a token and an address."""
    service = make_service(
        ACCESS_LOG="1",
        TRUSTED_PROXIES="127.0.0.1",
        VALUE_STORE="tests.support.faults.failing.FailingStore",
    )
    answer = exchange(service.port, _from_client("POST", "/secrets", _body(CONTENT)))
    assert answer.status == 500
    assert answer.json() == {"error": "Failed to encrypt secret"}
    places = everything(service)
    needles = [CONTENT.encode(), CLIENT.encode(), LEAKED_ID[4:].encode(), LEAKED_TOKEN[4:].encode()]
    assert_no_trace(places, needles)
    assert "RuntimeError" in service.logged(), "the failure itself is in the log"


@pytest.mark.parametrize("line", ["GET /{} HTTP/1.1", "{} / HTTP/1.1", "GET /{}?x HTTP/1.0"])
def test_no_content_that_looks_like_a_request_is_written_down(
    make_service: MakeService, line: str
) -> None:
    """The rest of a body may read as a request whose path or method is the content."""
    service = make_service(ACCESS_LOG="1")
    share = create(service.port)
    content = "PA55-0F-N0B0DY-ELSE"
    data = _longer_than_announced(share, line.format(content) + "\r\n\r\n")
    with Line(service.port) as connection:
        connection.send(data).half_close()
        assert connection.answer().status == 400
        assert connection.answer().status >= 400
    service.stop()
    assert_no_trace(everything(service), [content.encode()])


def test_a_damaged_share_is_not_written_down(crowd: Service) -> None:
    share = create(crowd.port, CONTENT)
    named = "name = (SELECT value_name FROM secrets_app_share WHERE digest = ?)"
    statement = f"UPDATE vault_app_storedvalue SET sealed = ? WHERE {named}"
    stored.query(crowd, statement, b"\x01" + bytes(60), sha256(share.id.encode()).digest())
    answer = open_share(crowd.port, share)
    assert (answer.status, answer.json()) == (500, {"error": "Failed to decrypt secret"})
    assert_no_trace(everything(crowd), list(_needles([share])))

"""deploy/proxy: the real HAProxy in front of a live service."""

import contextlib
import json
import re
import signal
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import MakeService
from tests.deploy.conftest import MakeProxy
from tests.support.servers.parts import wait_until
from tests.support.servers.proxy import MAX_BODY_SIZE, Proxy, ended, share

CLIENT = "198.51.100.7"


def test_a_share_goes_through(proxy: Proxy) -> None:
    with proxy.client() as http:
        made = share(http)
        answer = http.get(f"/secrets/{made['id']}")
        assert answer.json()["content"] == "proxied"
        page = http.get("/", headers={"Accept": "text/html"})
        assert "__Host-csrf" in page.headers["set-cookie"]
        assert page.headers.get_list("strict-transport-security") == ["max-age=31536000"]


def test_a_share_goes_through_http2(proxy: Proxy) -> None:
    with proxy.client() as http:
        made = share(http, "over HTTP/2")
    said, body = proxy.curl(f"/secrets/{made['id']}")
    assert said == "HTTP/2 200"
    assert json.loads(body)["content"] == "over HTTP/2"
    assert proxy.curl(f"/secrets/{made['id']}")[0] == "HTTP/2 404"
    assert made["id"] not in proxy.logged()


def test_its_log_names_no_id_no_token_and_no_client(proxy: Proxy) -> None:
    with proxy.client() as http:
        made = share(http)
        known = [made["id"], made["deletion_token"], "q=SecretQuery", "Agent/SecretAgent"]
        headers = {"User-Agent": "Agent/SecretAgent", "Referer": f"https://x/{made['id']}"}
        paths = [f"/secrets/{made['id']}", f"/%73/{made['id']}", f"/{made['id']}"]
        paths += [
            f"//secrets/{made['id']}",
            f"/SECRETS/{made['id']}",
            f"/static/{made['id']}/x.css",
        ]
        paths += [f"/static/..%2f{made['id']}", f"/repositories/{made['id']}/secrets/x"]
        paths += [f"/secrets?q=SecretQuery&id={made['id']}", f"/healthz/{made['id']}"]
        for path in paths:
            http.head(path, headers=headers)
        http.request(f"{made['id']}", "/")
        http.delete(f"/secrets/{made['id']}", headers={"Authorization": f"Bearer {made['id']}"})
    broken(
        proxy, f"GET /secrets/{made['id']} HTTP/1.1\r\nHost: x\r\nBad Header {made['id']}\r\n\r\n"
    )
    broken(proxy, f"{made['id']}\r\n\r\n")
    with socket.create_connection(("127.0.0.1", proxy.port)) as line:
        line.sendall(f"GET /secrets/{made['id']} HTTP/1.1\r\n\r\n".encode())  # no TLS at all
        line.recv(100)
    with httpx.Client() as http:
        http.get(f"http://127.0.0.1:{proxy.plain}/secrets/{made['id']}")
    wait_until(lambda: "plain HTTP" in proxy.logged(), "the last request in the log")
    logged = proxy.logged()
    for word in ["DELETE /secrets/[redacted]", "HEAD /s/[redacted]", "HEAD [unknown]"]:
        assert f'"{word}"' in logged, logged
    assert "POST /secrets" in logged
    assert not [word for word in [*known, made["id"][4:], "127.0.0.1"] if word in logged], logged
    assert not re.search(r"fug_|tok_", logged)


def broken(proxy: Proxy, text: str) -> None:
    with proxy.line() as line:
        line.sendall(text.encode())
        assert b"400" in line.recv(1000)


def test_its_log_names_the_places_without_an_id(proxy: Proxy) -> None:
    places = ["/", "/secrets", "/healthz", "/metrics"]
    with proxy.client() as http:
        for place in places:
            http.get(place)
    wait_until(lambda: proxy.logged().count('"GET /metrics"') == 1, "the last line of the log")
    assert [place for place in places if f'"GET {place}"' not in proxy.logged()] == []


def test_it_serves_no_old_tls(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old is the point
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", proxy.port)) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="localhost")


def test_plain_http_is_sent_to_tls_or_refused(proxy: Proxy) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{proxy.plain}") as http:
        answer = http.get("/", headers={"Host": "secrets.example.com"})
        assert answer.status_code == 308
        assert answer.headers["location"] == "https://secrets.example.com/"
        assert http.post("/secrets", json={}).status_code == 403


def test_the_client_s_address_is_believed_from_the_proxy_alone(
    make_service: MakeService, make_proxy: MakeProxy
) -> None:
    """Clients are told apart behind it, and can't name another address."""
    service = make_service(
        "postgresql",
        redis=True,
        PUBLIC_URL="https://localhost",
        TRUSTED_PROXIES="127.0.0.1",
        RATE_LIMIT_RPM="1",
        RATE_LIMIT_BURST="3",
    )
    proxy = make_proxy(service)
    with proxy.client() as http:
        for number in range(3):
            forged = {"X-Forwarded-For": f"{CLIENT}{number}"}
            assert http.get("/secrets/x", headers=forged).status_code == 404
        assert http.get("/secrets/x", headers={"X-Forwarded-For": CLIENT}).status_code == 429
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    other = httpx.HTTPTransport(local_address="127.0.0.9", verify=context)
    with httpx.Client(transport=other) as http:  # another client, as the proxy says
        url = f"https://localhost:{proxy.port}/secrets/x"
        assert http.get(url).status_code == 404


@pytest.mark.parametrize("way", ["whole", "chunked"])
def test_the_largest_secret_passes(proxy: Proxy, way: str) -> None:
    """10 MiB that JSON writes with six bytes each: a body of 60 MiB."""
    body = b'{"content": "' + b"\\u0007" * (10 * 2**20) + b'", "duration": "1h"}'
    assert len(body) > 60 * 2**20
    pieces = [body[start : start + 2**20] for start in range(0, len(body), 2**20)]
    headers = {"Content-Type": "application/json"}
    with proxy.client() as http:
        content = body if way == "whole" else iter(pieces)
        made = http.post("/secrets", content=content, headers=headers)
        assert made.status_code == 201, made.text
        got = http.get(f"/secrets/{made.json()['id']}").json()["content"]
    assert got == "\x07" * (10 * 2**20)


def test_what_is_larger_is_a_413_over_http2(proxy: Proxy, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b" " * (MAX_BODY_SIZE + 1))
    json_header = ("--header", "Content-Type: application/json")
    said, body = proxy.curl("/secrets", "--data-binary", f"@{tmp_path / 'body'}", *json_header)
    assert said == "HTTP/2 413"
    assert "error" in json.loads(body)


def test_what_is_far_too_large_is_refused_unread(proxy: Proxy) -> None:
    with proxy.line() as line:
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # it may hang up before the end
            line.sendall(
                b"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n"
                % (MAX_BODY_SIZE + 2**27 + 1)
                + b" " * 2**15  # what the proxy waits for
            )
        ended(line)
    wait_until(lambda: '"POST /secrets" 413' in proxy.logged(), "the refusal in the log")


@pytest.mark.parametrize("way", ["whole", "chunked"])
def test_what_is_larger_is_a_413(proxy: Proxy, way: str) -> None:
    """And the sender gets to see it."""
    piece = b" " * 2**20
    count = MAX_BODY_SIZE // 2**20 + 2
    headers = {"Content-Type": "application/json"}
    if way == "whole":
        headers["Content-Length"] = str(count * 2**20)
    with proxy.client() as http:
        answer = http.post("/secrets", content=(piece for _ in range(count)), headers=headers)
        assert answer.status_code == 413
        assert "error" in answer.json()


@pytest.mark.parametrize(
    "path", ["/metrics", "/%6detrics", "/metrics/", "/m%65trics", "/metric%73"]
)
def test_metrics_are_for_the_inside_however_they_are_written(proxy: Proxy, path: str) -> None:
    with proxy.line() as line:
        line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        said = ended(line)
    assert said.startswith(b"HTTP/1.1 404 ")
    assert b"x-request-id" not in said.lower(), "the service was not asked"


def test_a_stopped_proxy_finishes_what_it_has(proxy: Proxy) -> None:
    body = json.dumps({"content": "late", "duration": "1h"}).encode()

    def slow() -> Iterator[bytes]:
        yield b" " * 2**17  # more than the proxy holds: the request is under way
        yield body[:5]
        proxy.process.send_signal(signal.SIGUSR1)  # the soft stop, as the official image does it
        yield body[5:]

    with proxy.client() as http:
        headers = {"Content-Type": "application/json"}
        assert http.post("/secrets", content=slow(), headers=headers).status_code == 201
    assert proxy.process.wait(timeout=60) == 0

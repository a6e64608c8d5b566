"""deploy/proxy: the real HAProxy in front of a live service."""

import contextlib
import json
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import MakeService, Require
from tests.support.servers.parts import free_port, wait_until
from tests.support.servers.pods import compose
from tests.support.servers.service import ROOT, Service

CONFIGURATION = ROOT / "deploy" / "proxy" / "haproxy.cfg"
MAX_BODY_SIZE = int(compose()["services"]["proxy"]["environment"]["MAX_BODY_SIZE"])
CLIENT = "198.51.100.7"


@dataclass
class Proxy:
    """The proxy, with the shipped configuration; its two ports alone are others."""

    port: int
    plain: int
    log: Path
    certificate: Path
    process: subprocess.Popen[bytes]

    def client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.certificate))
        url = f"https://localhost:{self.port}"
        return httpx.Client(base_url=url, verify=context, timeout=60)

    def curl(self, path: str, *arguments: str) -> tuple[str, str]:
        """Ask over HTTP/2, which Python's client here does not speak; returns version and body."""
        command = ["curl", "--silent", "--http2", "--cacert", str(self.certificate), *arguments]
        command += ["--write-out", " HTTP/%{http_version} %{http_code}"]
        command.append(f"https://localhost:{self.port}{path}")
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        body, version, status = done.stdout.rsplit(" ", 2)
        return f"{version} {status}", body

    def line(self, protocols: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.set_alpn_protocols(list(protocols))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return context.wrap_socket(plain, server_hostname="localhost")

    def logged(self) -> str:
        return self.log.read_text(errors="replace")


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service(
        "postgresql", redis=True, PUBLIC_URL="https://localhost", TRUSTED_PROXIES="127.0.0.1"
    )


@pytest.fixture
def proxy(service: Service, tmp_path: Path, require: Require) -> Iterator[Proxy]:
    yield from proxied(service, tmp_path, require)


def proxied(service: Service, folder: Path, require: Require) -> Iterator[Proxy]:
    binary = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    require("haproxy", binary)
    assert binary
    shutil.copy(ROOT / "deploy" / "make-secrets.sh", folder)
    subprocess.run([folder / "make-secrets.sh"], check=True, capture_output=True)
    certificate = folder / "secrets" / "certificate.pem"
    port, plain = free_port(), free_port()
    text = CONFIGURATION.read_text().replace("bind :8443 ", f"bind 127.0.0.1:{port} ")
    text = text.replace("bind :8080", f"bind 127.0.0.1:{plain}")
    # Two files a connection: what this machine allows may be a few less.
    text = text.replace("maxconn 10000", f"maxconn {connections()}")
    (folder / "haproxy.cfg").write_text(text)
    environment = {"CERTIFICATE": str(certificate), "FUGATA": f"127.0.0.1:{service.port}"}
    environment |= {"MAX_BODY_SIZE": str(MAX_BODY_SIZE)}
    log = folder / "proxy.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [binary, "-db", "-f", str(folder / "haproxy.cfg")],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    made = Proxy(port, plain, log, certificate, process)
    try:
        wait_until(lambda: _answers(made), "a proxy that finds the service")
        yield made
    finally:
        process.terminate()
        process.wait(timeout=60)


def connections() -> int:
    """Return the connections that the proxy may hold on this machine: 10,000, or nearly."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(10_000, (hard - 100) // 2)


def _answers(proxy: Proxy) -> bool:
    assert proxy.process.poll() is None, proxy.logged()
    try:
        with proxy.client() as http:
            return http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def share(http: httpx.Client, content: str = "proxied") -> dict[str, str]:
    answer = http.post("/secrets", json={"content": content, "duration": "1h", "one_time": True})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


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
        paths = [f"/secrets/{made['id']}", f"/s/{made['id']}", f"/{made['id']}"]
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
    make_service: MakeService, tmp_path: Path, require: Require
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
    for proxy in proxied(service, tmp_path, require):
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


def ended(line: ssl.SSLSocket) -> bytes:
    """Return what the other side says until it hangs up."""
    said = b""
    try:
        while piece := line.recv(4096):
            said += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return said


def drip(line: ssl.SSLSocket, stop: threading.Event) -> None:
    """Send a byte now and then, for as long as it is taken."""
    while not stop.wait(0.5):
        try:
            line.sendall(b"a")
        except OSError:
            return


SLOW = {
    "headers": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "body": b"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 5000\r\n\r\n{",
}


@pytest.mark.parametrize("part", SLOW)
def test_slow_clients_are_held_off_and_others_served(proxy: Proxy, part: str) -> None:
    """Three times as many as the service has threads; it never hears of them."""
    stop = threading.Event()
    with ExitStack() as stack:
        lines = [stack.enter_context(proxy.line()) for _ in range(100)]
        for line in lines:
            line.sendall(SLOW[part])
        threads = [threading.Thread(target=drip, args=(line, stop)) for line in lines[:10]]
        for thread in threads:
            thread.start()
        try:
            with proxy.client() as http:
                made = share(http)
                assert http.get(f"/secrets/{made['id']}").status_code == 200
            for line in lines:
                assert b" 408 " in ended(line)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    with proxy.client() as http:
        assert http.get("/healthz").status_code == 200


def test_slow_bodies_hold_nobody_up(proxy: Proxy) -> None:
    """More of them than the service has threads, each beyond what the proxy itself waits for."""
    head = b"POST /secrets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    data = head + b"Content-Length: 60000\r\n\r\n" + b" " * 40_000
    with ExitStack() as stack:
        lines = [stack.enter_context(proxy.line()) for _ in range(150)]
        for line in lines:
            line.sendall(data)
        with proxy.client() as http:
            assert http.get("/healthz").status_code == 200
            made = share(http)
            assert http.get(f"/secrets/{made['id']}").status_code == 200
        for line in lines:
            line.settimeout(0)
            with pytest.raises(ssl.SSLWantReadError):
                line.recv(1)


def test_one_address_leaves_room_for_others(proxy: Proxy) -> None:
    with ExitStack() as stack:
        for _ in range(520):
            line = socket.create_connection(("127.0.0.1", proxy.port), 60, ("127.0.0.9", 0))
            stack.enter_context(line)
        wait_until(lambda: _is_refused(proxy, "127.0.0.9"), "an address that has enough")
        with proxy.client() as http:
            assert http.get("/livez").status_code == 200
    wait_until(lambda: not _is_refused(proxy, "127.0.0.9"), "room again")


def _is_refused(proxy: Proxy, source: str) -> bool:
    """Return whether a handshake from that address fails."""
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    try:
        plain = socket.create_connection(("127.0.0.1", proxy.port), 60, (source, 0))
        with plain, context.wrap_socket(plain, server_hostname="localhost"):
            return False
    except (ConnectionError, ssl.SSLError):
        return True


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


@pytest.mark.timeout(600)
def test_ten_thousand_idle_connections(proxy: Proxy, service: Service) -> None:
    """They wait at the proxy; the service keeps answering, and none of its threads is held."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connections() > 9_900, f"this machine allows {hard} open files: 20,100 are needed"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines: list[socket.socket] = []
    try:
        for number in range(connections() - 50):
            source = (f"127.0.0.{2 + number // 400}", 0)  # one alone may have 500
            lines.append(socket.create_connection(("127.0.0.1", proxy.port), 60, source))
            if number % 500 == 0:
                with proxy.client() as http:
                    assert http.get("/livez").status_code == 200
        with proxy.client() as http:
            made = share(http)
            assert http.get(f"/secrets/{made['id']}").status_code == 200
        assert psutil.Process(proxy.process.pid).memory_info().rss < 1024**3
        workers = service.workers()
        assert sum(len(worker.net_connections()) for worker in workers) < 100
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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

"""deploy/proxy: the real HAProxy, with the shipped configuration, in front of a live service."""

import resource
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.servers.parts import free_port, wait_until
from tests.support.servers.pods import compose
from tests.support.servers.service import ROOT, Service

CONFIGURATION = ROOT / "deploy" / "proxy" / "haproxy.cfg"
MAX_BODY_SIZE = int(compose()["services"]["proxy"]["environment"]["MAX_BODY_SIZE"])


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


def haproxy() -> str | None:
    """Return the path of HAProxy, if it is installed."""
    return shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


@contextmanager
def proxy_of(service: Service, folder: Path, places: int = 8000) -> Iterator[Proxy]:
    """Run HAProxy in front of `service` while the block runs.

    `places`: how many requests pass at a time, apart from probes.
    """
    binary = haproxy()
    assert binary
    shutil.copy(ROOT / "deploy" / "make-secrets.sh", folder)
    subprocess.run([folder / "make-secrets.sh"], check=True, capture_output=True)
    certificate = folder / "secrets" / "certificate.pem"
    port, plain = free_port(), free_port()
    text = CONFIGURATION.read_text().replace("bind :8443 ", f"bind 127.0.0.1:{port} ")
    text = text.replace("bind :8080", f"bind 127.0.0.1:{plain}")
    # Two files a connection: what this machine allows may be a few less.
    text = text.replace("maxconn 10600", f"maxconn {connections()}")
    text = text.replace("maxconn 10000", f"maxconn {connections()}")
    text = text.replace("maxconn 8000", f"maxconn {places}")
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
    """Share `content` through the proxy and return what the service said."""
    answer = http.post("/secrets", json={"content": content, "duration": "1h", "one_time": True})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def ended(line: ssl.SSLSocket) -> bytes:
    """Return what the other side says until it hangs up."""
    said = b""
    try:
        while piece := line.recv(4096):
            said += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return said

"""deploy/proxy: slow clients, many connections, and many from one address."""

import resource
import socket
import ssl
import threading
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.deploy.conftest import MakeProxy
from tests.support.servers.parts import wait_until
from tests.support.servers.proxy import Proxy, connections, ended, share
from tests.support.servers.service import Service


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
                assert b"408 Request Time-out</h1>" in ended(line), "the proxy's own words"
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


@pytest.mark.parametrize(("plain", "enough", "most"), [(False, 400, 600), (True, 40, 100)])
def test_one_address_leaves_room_for_others(
    proxy: Proxy, plain: bool, enough: int, most: int
) -> None:
    """On both ports."""
    port = proxy.plain if plain else proxy.port
    with ExitStack() as stack:
        opened = 0
        while _is_taken(proxy, port, stack):
            opened += 1
            assert opened < most
        assert opened > enough
        with proxy.client() as http:
            assert http.get("/livez").status_code == 200
    with ExitStack() as stack:
        wait_until(lambda: _is_taken(proxy, port, stack), "room again")


def _is_taken(proxy: Proxy, port: int, stack: ExitStack) -> bool:
    """Open one more connection from one address and return whether the proxy serves it."""
    try:
        line = socket.create_connection(("127.0.0.1", port), 60, ("127.0.0.9", 0))
        stack.enter_context(line)
        if port == proxy.plain:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            line.settimeout(0.05)
            return line.recv(1) != b""
        context = ssl.create_default_context(cafile=str(proxy.certificate))
        stack.enter_context(context.wrap_socket(line, server_hostname="localhost"))
    except TimeoutError:
        return True
    except (ConnectionError, ssl.SSLError):
        return False
    return True


def test_probes_have_places_of_their_own(proxied: Service, make_proxy: MakeProxy) -> None:
    """Also when requests that are no probes ask for their paths."""
    proxy = make_proxy(proxied, places=20)
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    slow = head + b"Content-Length: 60000\r\n\r\n" + b" " * 40_000
    with ExitStack() as stack:
        for number in range(150):
            path = b"/healthz" if number % 2 else b"/secrets"
            stack.enter_context(proxy.line()).sendall(slow % path)
        with proxy.client() as http:
            for probe in ("/healthz", "/livez"):
                assert http.get(probe, timeout=5).status_code == 200
            with pytest.raises(httpx.TimeoutException):
                http.get("/", timeout=1)


@pytest.mark.timeout(600)
def test_ten_thousand_idle_connections(proxy: Proxy, proxied: Service) -> None:
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
        workers = proxied.workers()
        assert sum(len(worker.net_connections()) for worker in workers) < 100
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

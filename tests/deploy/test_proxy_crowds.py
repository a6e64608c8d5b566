"""deploy/proxy: slow clients, many connections, and many from one address."""

import resource
import socket
import ssl
import threading
from contextlib import ExitStack

import psutil
import pytest

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

"""What a form may cost: bounded for each path, by the cookie, and by what the secret needs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.support.clients.wire import Answer, exchange, request
from tests.support.servers.service import Service

MIB = 2**20
LARGEST = 10 * MIB
FORM = "application/x-www-form-urlencoded"
#: Texts of the largest size, in bytes of UTF-8, each awkward in its own way.
TEXTS = {
    "letters": "x" * LARGEST,
    "ends of lines": "\r\n" * LARGEST,
    "spaces": " " * LARGEST,
    "two bytes each": "é" * (LARGEST // 2),
    "four bytes each": "🔑" * (LARGEST // 4),
    "one wide letter among narrow ones": "🔑" + "x" * (LARGEST - 4),
    "ends of lines among letters": "x\r\n" * (LARGEST // 2),
    "one wide letter among ends of lines": "🔑" + "\r\n" * (LARGEST - 4),
}


class Memory:
    """The most memory that the web process takes, over what it took at first."""

    def __init__(self, service: Service) -> None:
        (worker,) = service.workers()
        self._process = Path(f"/proc/{worker.pid}")
        self._before = self._began = self._bytes("VmRSS")

    def begin(self) -> None:
        """Forget the peak until now."""
        (self._process / "clear_refs").write_text("5")
        self._began = self._bytes("VmRSS")

    def peak(self) -> int:
        """Return how many bytes more than at first there were since then."""
        return self._bytes("VmHWM") - self._before

    def grown(self) -> int:
        """Return how many bytes more than then there were since."""
        return self._bytes("VmHWM") - self._began

    def _bytes(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self._process / "status").read_text())
        assert found is not None
        return int(found[1]) * 1024


def _form(content: str, token: str, kind: str) -> tuple[bytes, str]:
    """Return a body and its Content-Type."""
    fields = {"csrfmiddlewaretoken": token, "duration": "1h", "content": content}
    if kind == "urlencoded":
        pairs = (f"{name}={quote_plus(value)}" for name, value in fields.items())
        return "&".join(pairs).encode(), FORM
    head = 'Content-Disposition: form-data; name="{}"\r\n\r\n'
    parts = (f"--b\r\n{head.format(name)}{value}\r\n" for name, value in fields.items())
    return ("".join(parts) + "--b--\r\n").encode(), "multipart/form-data; boundary=b"


def _send(service: Service, content: str, kind: str) -> Answer:
    """Send the form of the page, as its page has it."""
    page = exchange(service.port, request("GET", "/"))
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.body)
    assert token is not None
    cookie = page.headers["set-cookie"].partition(";")[0]
    body, content_type = _form(content, token[1].decode(), kind)
    return exchange(
        service.port, request("POST", "/", body, content_type=content_type, cookie=cookie)
    )


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has served each kind of form before."""
    service = Service(tmp_path_factory.mktemp("forms") / "home").start()
    for kind in ("urlencoded", "multipart"):
        assert _send(service, "small", kind).status == 200
    yield service
    service.stop()


@pytest.fixture(scope="module")
def memory(warm: Service) -> Memory:
    """Its memory, from now on."""
    return Memory(warm)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["urlencoded", "multipart"])
def test_the_largest_secret(warm: Service, memory: Memory, text: str, kind: str) -> None:
    """At most twelve times its size, whatever its characters."""
    memory.begin()
    assert b"is ready" in _send(warm, TEXTS[text], kind).body
    print(f"{text}, {kind}: {memory.peak() / LARGEST:.1f} times the secret's size")
    assert memory.peak() <= 12 * LARGEST


@pytest.mark.parametrize("text", TEXTS)
def test_the_largest_secret_in_json(warm: Service, memory: Memory, text: str) -> None:
    content = TEXTS[text].replace("\r\n", "\n")
    body = json.dumps({"content": content, "duration": "1h"}).encode()
    memory.begin()
    assert exchange(warm.port, request("POST", "/secrets", body)).status == 201
    print(f"{text}: {memory.peak() / LARGEST:.1f} times the secret's size")
    assert memory.peak() <= 16 * LARGEST


BOMBS = {
    "escapes": b"content=" + b"%0A" * (10 * MIB),
    "fields": b"content=v&" * MIB,
    "separators": b"&" * (10 * MIB),
    "a name": b"%" * (10 * MIB),
}


@pytest.mark.parametrize("path", ["/", "/s/x", "/s/x/delete", "/admin/login/"])
@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("cookie", ["", "csrf=short", f"csrf={'c' * 32}"])
def test_a_form_that_nobody_sent(
    warm: Service, memory: Memory, path: str, bomb: str, cookie: str
) -> None:
    """Only `/` takes more than 64 KiB, and more than 256 KiB only with a cookie of ours."""
    headers = {"content_type": FORM} | ({"cookie": cookie} if cookie else {})
    memory.begin()
    answer = exchange(warm.port, request("POST", path, BOMBS[bomb], **headers))
    assert answer.status in (400, 403, 413)
    has_cookie = "c" * 32 in cookie
    allowed = 12 * LARGEST if path == "/" and has_cookie else 8 * MIB
    assert memory.grown() <= allowed


def test_a_text_is_given_back_without_the_cookie(service: Service) -> None:
    """Up to 256 KiB; beyond that the page says where the text still is."""
    kept = "typed " * 30_000
    body, kind = _form(kept, "t" * 64, "urlencoded")
    answer = exchange(service.port, request("POST", "/", body, content_type=kind))
    assert answer.status == 403
    assert kept.encode() in answer.body
    body, kind = _form("typed " * 50_000, "t" * 64, "urlencoded")
    answer = exchange(service.port, request("POST", "/", body, content_type=kind))
    assert answer.status == 403
    assert b"too long to be kept" in answer.body


def test_a_text_that_is_not_utf8_is_refused(service: Service) -> None:
    for body in (b"content=%FF&duration=1h", b"content=\xff&duration=1h", b"%FF=1"):
        cookie = f"csrf={'c' * 32}"
        data = request("POST", "/", body, content_type=FORM, cookie=cookie)
        answer = exchange(service.port, data)
        assert answer.status == 400
        assert b"UTF-8" in answer.body

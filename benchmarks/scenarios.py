"""The scenarios to measure. A new one is one function and one line in `SCENARIOS`."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from benchmarks.loadgen import Driver

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Work:
    """The requests of one slice, and the check of the answer to request `index`."""

    requests: list[bytes]
    is_right: Callable[[int, bytes], bool]


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    `prepare` is not timed. It may send requests itself (through the driver) and returns the number
    of requests that it is asked for.
    """

    name: str
    title: str
    site: str
    prepare: Callable[[Driver, int], Work]


def content(index: int) -> str:
    """Return 200 bytes of ASCII that differ from index to index."""
    digest = hashlib.sha256(str(index).encode()).hexdigest()
    return f"{index:08d}{digest * 3}"


def render(
    method: str, path: str, body: str = "", kind: str | None = None, accept: str = "*/*"
) -> bytes:
    """Return one HTTP/1.1 request as the bytes that go over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: benchmark"]
    lines.append(f"Accept: {accept}")
    if kind:
        lines.append(f"Content-Type: {kind}")
    if method != "GET":
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def create_request(index: int) -> bytes:
    """Return a create as the API documents it."""
    share = {"content": content(index), "duration": "1h", "one_time": True, "metadata": "bench"}
    return render("POST", "/secrets", json.dumps(share), JSON_TYPE)


def set_request(index: int) -> bytes:
    """Return SnapPass's form, asking for JSON: not rendering a page favours the peer."""
    form = urlencode({"password": content(index), "ttl": "Hour"})
    return render("POST", "/", form, FORM_TYPE, JSON_TYPE)


def prepare_all(driver: Driver, requests: Sequence[bytes]) -> list[bytes]:
    """Send the requests that set a slice up, and return the bodies. Raises SystemExit on errors."""
    done = driver.run(requests)
    if done.errors():
        raise SystemExit(f"Preparing a slice failed: {dict(done.errors())}")
    return done.bodies


def floor(driver: Driver, count: int) -> Work:
    """Insert the body of a create as one row, `count` times."""
    return Work([create_request(i) for i in range(count)], lambda i, body: b'"id"' in body)


def create(driver: Driver, count: int) -> Work:
    """Share `count` secrets."""
    fields = {"id", "deletion_token", "expires_at"}
    return Work(
        [create_request(i) for i in range(count)],
        lambda i, body: set(json.loads(body)) == fields,
    )


def open_once(driver: Driver, count: int) -> Work:
    """Open `count` one-time shares that were created beforehand, each once."""
    made = prepare_all(driver, [create_request(i) for i in range(count)])
    return Work(
        [render("GET", f"/secrets/{json.loads(body)['id']}") for body in made],
        lambda i, body: json.loads(body)["content"] == content(i),
    )


def snappass_set(driver: Driver, count: int) -> Work:
    """Store `count` passwords in SnapPass."""
    return Work([set_request(i) for i in range(count)], lambda i, body: b'"link"' in body)


def snappass_get(driver: Driver, count: int) -> Work:
    """Reveal `count` passwords in SnapPass, each once, as its button does."""
    made = prepare_all(driver, [set_request(i) for i in range(count)])
    return Work(
        [render("POST", urlsplit(json.loads(body)["link"]).path) for body in made],
        lambda i, body: content(i).encode() in body,
    )


FLOOR = "floor"

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(FLOOR, "floor: bare Django, one INSERT", "floor", floor),
        Scenario("create", "Fugata: create", "fugata", create),
        Scenario("open", "Fugata: open a one-time share", "fugata", open_once),
        Scenario("snappass-set", "SnapPass: set", "snappass", snappass_set),
        Scenario("snappass-get", "SnapPass: get", "snappass", snappass_get),
    )
}

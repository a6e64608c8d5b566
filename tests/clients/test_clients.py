"""The four example clients, run as people run them: as processes against a live service.

The fault server plays what a healthy service never does on demand.
"""

import functools
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.clients.support import EXAMPLES, FOUND, LIMITED, Client, FaultServer, Reply, limited
from tests.support.servers.service import Service

SHELL_TOOLS = ("awk", "curl", "date", "iconv", "od", "sed", "sleep", "tr")

NASTY = (
    "\ufeff \t\"double\" 'single' \\ \\\\ \\n \\u0041 $HOME `id` %s %% </script>&\r\n"
    "NUL \x00 bell \x07 delete \x7f \u2028 \x80 é 🤫 👩\u200d👩\u200d👧 שלום \ufffd \U0010ffff "
    '","content":"x" \\"content\\":\\"y" \\\n\n'
)

# --- Against the service -------------------------------------------------------------------


@pytest.mark.parametrize("content", [NASTY, NASTY * 2000], ids=["short", "long"])
def test_content_comes_back_byte_for_byte(client: Client, service: Service, content: str) -> None:
    """Nothing is added, trimmed or re-encoded; the long one would not fit an argument."""
    secret = client.create(service.url + "/", content)
    got = client.run(service.url + "/", "get", secret["id"])
    assert (got.status, got.err) == (0, "")
    assert got.out == content


def test_options_reach_the_service(client: Client, service: Service) -> None:
    """Duration, label and one-time arrive as they were given."""
    label = 'a "label" \\ with ünï, "one_time": false'
    secret = client.create(service.url, "x", "--duration", "5m", "--one-time", "--label", label)
    answer = read(service, secret["id"])
    assert answer["metadata"] == label
    assert answer["one_time"] is True
    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < left <= timedelta(minutes=5, seconds=2)


def test_defaults(client: Client, service: Service) -> None:
    """Without options: one hour, no label, and it can be read more than once."""
    secret = client.create(service.url, "x")
    assert client.run(service.url, "get", secret["id"]).out == "x"
    answer = read(service, secret["id"])
    assert (answer["metadata"], answer["one_time"]) == (None, False)
    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(hours=1, seconds=2)


def test_second_reader_of_a_one_time_secret(client: Client, service: Service) -> None:
    """The second get fails with the service's sentence."""
    secret = client.create(service.url, "once", "--one-time")
    assert client.run(service.url, "get", secret["id"]).out == "once"
    client.run(service.url, "get", secret["id"]).assert_refused("Secret not found")


@pytest.mark.parametrize("source", ["environment", "stdin"])
def test_delete(client: Client, service: Service, source: str) -> None:
    """The right token deletes; afterwards there is nothing to get or to delete."""
    secret = client.create(service.url, "short-lived")
    token = secret["deletion_token"]
    if source == "environment":
        deleted = client.run(service.url, "delete", secret["id"], FUGATA_DELETION_TOKEN=token)
    else:
        deleted = client.run(service.url, "delete", secret["id"], text=token + "\n")
    assert (deleted.status, deleted.out) == (0, "Secret deleted successfully\n")
    client.run(service.url, "get", secret["id"]).assert_refused("Secret not found")
    again = client.run(service.url, "delete", secret["id"], FUGATA_DELETION_TOKEN=token)
    again.assert_refused("Secret not found")


def test_wrong_deletion_token(client: Client, service: Service) -> None:
    """A wrong token deletes nothing."""
    secret = client.create(service.url, "stays")
    wrong = client.run(service.url, "delete", secret["id"], text="tok_wrong")
    wrong.assert_refused("Unauthorized")
    assert client.run(service.url, "get", secret["id"]).out == "stays"


def test_bad_duration(client: Client, service: Service) -> None:
    """The service's own sentence is shown."""
    refused = client.run(service.url, "create", "--duration", "90 days", text="x")
    refused.assert_refused("Invalid duration: must be one of ")


def test_an_id_cannot_leave_its_path(client: Client, service: Service) -> None:
    """Slashes, queries and globs in an id are escaped."""
    secret = client.create(service.url, "inside")
    for strange in (f"x/../{secret['id']}", f"{secret['id']}?a=b", "{a,b}[1-2] é%"):
        refused = client.run(service.url, "get", strange)
        assert (refused.status, refused.out) == (1, "")
        assert len(refused.err.splitlines()) == 1


def test_waits_for_the_rate_limit(client: Client, strict_service: Service) -> None:
    """With the bucket empty, a client succeeds a second later."""
    while httpx.get(f"{strict_service.url}/secrets/fug_x").status_code != 429:
        pass
    client.create(strict_service.url, "patience")


def read(service: Service, secret_id: str) -> dict[str, Any]:
    """Return the whole answer, of which the clients print the content alone."""
    answer: dict[str, Any] = httpx.get(f"{service.url}/secrets/{secret_id}").json()
    return answer


# --- The command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    ["", "open", "get", "get a b", "delete", "create extra", "create --forever", "create --label"],
)
def test_wrong_usage(client: Client, args: str) -> None:
    """Exit status 2 and a hint, without a request."""
    outcome = client.run("http://127.0.0.1:1", *args.split(), text="x")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err
    assert_no_stack_trace(outcome.err)


def test_input_that_cannot_be_sent(client: Client) -> None:
    """What JSON, a header or HTTP can't carry is wrong usage, without a request."""
    url = "http://127.0.0.1:1"
    client.run(url, "create", text=b"\xff\xfe").assert_refused("not UTF-8", 2)
    client.run("file:///etc", "get", "fug_x").assert_refused("FUGATA_URL", 2)
    for token in ("", "two words", "tok_é"):
        refused = client.run(url, "delete", "fug_x", text=token)
        refused.assert_refused("FUGATA_DELETION_TOKEN", 2)


def test_service_that_cannot_be_reached(client: Client) -> None:
    """One sentence, no stack trace, and not the id."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        refused = client.run(url, "get", "fug_x")
    refused.assert_refused("onnect" if client.name == "curl" else "cannot reach the service")
    assert_no_stack_trace(refused.err)
    assert "fug_x" not in refused.err


def assert_no_stack_trace(err: str) -> None:
    """Check that no runtime has printed its insides."""
    assert not any(mark in err for mark in ("Traceback", "    at ", "goroutine", "panic"))


# --- Against a server that misbehaves ------------------------------------------------------


@pytest.mark.parametrize("hint", ["retry_after", "reset", "nothing", "nonsense"])
def test_backs_off(client: Client, faults: FaultServer, hint: str) -> None:
    """Retry-After comes first, then the reset time, then one second, two, four."""
    soon = str(int(time.time()) + 5)
    headers, least, most = {
        "retry_after": ({"Retry_After": "2", "X_RateLimit_Reset": "9999999999"}, 1.9, 9.0),
        "reset": ({"X_RateLimit_Reset": soon}, 0.9, 9.0),
        "nothing": ({}, 0.9, 9.0),
        "nonsense": ({"Retry_After": "soon", "X_RateLimit_Reset": "1"}, 0.9, 9.0),
    }[hint]
    faults.replies = [limited(**headers), FOUND]
    assert client.run(faults.url, "get", "fug_x").out == "found"
    first, second = faults.times
    assert least < second - first < most


def test_waits_longer_each_time(client: Client, faults: FaultServer) -> None:
    """Without a hint from the service the waits double: one second, two. (Each may last longer.)"""
    faults.replies = [LIMITED, LIMITED, FOUND]
    assert client.run(faults.url, "get", "fug_x").out == "found"
    first, second, third = faults.times
    assert second - first > 0.9
    assert third - second > 1.9


def test_gives_up_in_the_end(client: Client, faults: FaultServer) -> None:
    """Five tries, then the service's sentence."""
    faults.replies = [limited(Retry_After="0")]
    client.run(faults.url, "get", "fug_x").assert_refused("Rate limit exceeded")
    assert len(faults.times) == 5


def test_does_not_wait_for_ever(client: Client, faults: FaultServer) -> None:
    """Told to come back in an hour, a client says so at once."""
    faults.replies = [limited(Retry_After="3600")]
    client.run(faults.url, "get", "fug_x").assert_refused("Rate limit exceeded")
    assert len(faults.times) == 1


@pytest.mark.parametrize(
    "reply",
    [
        (502, {}, "<html>Bad gateway</html>"),
        (200, {}, "<html>Some other site</html>"),
        (200, {}, '{"status": "ok"}'),
        (200, {}, ""),
        (308, {"Location": "/elsewhere"}, ""),
    ],
    ids=["gateway", "page", "other", "empty", "redirect"],
)
@pytest.mark.parametrize("command", ["create", "get fug_x", "delete fug_x"])
def test_unexpected_answer(client: Client, faults: FaultServer, reply: Reply, command: str) -> None:
    """One sentence with the status; one request, because it may have had its effect."""
    faults.replies = [reply]
    refused = client.run(faults.url, *command.split(), text="tok_x")
    refused.assert_refused(f"unexpected answer from the service (HTTP {reply[0]})")
    assert len(faults.times) == 1


# --- What other users of the machine can see -----------------------------------------------


@pytest.mark.parametrize("command", ["create", "delete fug_x"])
def test_nothing_secret_in_a_running_command_line(
    client: Client, faults: FaultServer, command: str
) -> None:
    """While the server holds the request, no process of the client shows what it carries."""
    arrived, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        arrived.set()
        go_on.wait(30)

    faults.before_reply = hold
    process = client.start(faults.url, *command.split())
    assert process.stdin is not None
    process.stdin.write(b"needle-in-a-haystack")
    process.stdin.close()
    process.stdin = None
    try:
        assert arrived.wait(30)
        root = psutil.Process(process.pid)
        lines = [" ".join(one.cmdline()) for one in (root, *root.children(recursive=True))]
    finally:
        go_on.set()
        process.communicate(timeout=30)
    assert any("curl" in line or command in line for line in lines)
    assert not any("needle" in line for line in lines)


def test_nothing_secret_in_what_the_shell_starts(
    service: Service, require: Callable[[str, object], None], tmp_path: Path
) -> None:
    """Every tool that the shell client calls logs its arguments; none holds a secret."""
    require("curl", shutil.which("curl"))
    log = tmp_path / "log"
    for tool in SHELL_TOOLS:
        spy = tmp_path / tool
        spy.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"{tool} $*\" >> '{log}'\n"
            f'exec {shutil.which(tool)} "$@"\n'
        )
        spy.chmod(0o755)
    # Only the spies are on the path, so a tool that is not spied on would be missing.
    client = Client("curl", [shutil.which("sh") or "sh", str(EXAMPLES / "curl_example.sh")])
    spied = functools.partial(client.run, service.url, PATH=str(tmp_path))
    created = spied("create", text="needle-in-a-haystack")
    secret = json.loads(created.out)
    assert spied("get", secret["id"]).out == "needle-in-a-haystack"
    token = secret["deletion_token"]
    assert spied("delete", secret["id"], FUGATA_DELETION_TOKEN=token).status == 0
    logged = log.read_text()
    assert logged.count("curl ") >= 3
    assert "needle" not in logged
    assert token not in logged

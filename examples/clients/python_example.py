#!/usr/bin/env python3
"""A small client for Fugata: the standard library of Python 3.11 and nothing else.

  python_example.py create [--duration 1h] [--one-time] [--label TEXT]  < content
  python_example.py get ID
  python_example.py delete ID      (token in FUGATA_DELETION_TOKEN, else from stdin)

FUGATA_URL names the service (default http://localhost:8080).
"""

import argparse
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import Any, NoReturn

BASE_URL = (os.environ.get("FUGATA_URL") or "http://localhost:8080").rstrip("/")
TIMEOUT = 60  # seconds for one request
MAX_TRIES = 5  # when the service answers 429
MAX_WAIT = 60  # seconds; who is told to wait longer gives up at once


class FugataError(Exception):
    """The service said no, or could not be reached; the message is for people."""


class UsageError(Exception):
    """The client was called wrongly."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: a token must not travel to an address nobody named."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing; urllib then reports the 3xx as an error."""


OPENER = urllib.request.build_opener(NoRedirect)


def create(content: str, duration: str, one_time: bool, label: str | None) -> dict[str, Any]:
    """Store a secret; the answer holds `id`, `deletion_token` and `expires_at`."""
    secret: dict[str, Any] = {"content": content, "duration": duration, "one_time": one_time}
    if label is not None:
        secret["metadata"] = label
    return request("POST", "/secrets", body=secret, expect="id")


def retrieve(secret_id: str) -> str:
    """Return the content of a secret; one-time secrets are gone afterwards."""
    return str(request("GET", secret_path(secret_id), expect="content")["content"])


def delete(secret_id: str, token: str) -> str:
    """Delete a secret with the token from its creation; returns the service's message."""
    return str(request("DELETE", secret_path(secret_id), token=token, expect="message")["message"])


def secret_path(secret_id: str) -> str:
    """Return the path of one secret."""
    return "/secrets/" + urllib.parse.quote(secret_id, safe="")


def request(
    method: str, path: str, *, expect: str, body: object = None, token: str | None = None
) -> dict[str, Any]:
    """Return the answer, a JSON object with the text field `expect`; wait and retry on 429."""
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    for attempt in range(MAX_TRIES):
        call = urllib.request.Request(BASE_URL + path, data, headers, method=method)
        status, answer_headers, text = send(call)
        delay = seconds_to_wait(answer_headers, attempt)
        if status != 429 or delay > MAX_WAIT or attempt + 1 == MAX_TRIES:
            break
        time.sleep(delay)
    return parse(status, text, "error" if status >= 300 else expect)


def send(call: urllib.request.Request) -> tuple[int, Message, bytes]:
    """Make one request; returns status, headers and body, whatever the status."""
    try:
        try:
            with OPENER.open(call, timeout=TIMEOUT) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise FugataError(f"cannot reach the service at {BASE_URL}: {reason}") from error


def seconds_to_wait(headers: Message, attempt: int) -> float:
    """Return what the service asks for: Retry-After, else the reset time, else 1, 2, 4, 8."""
    retry_after = headers.get("Retry-After", "")
    if retry_after.isdecimal():
        return float(retry_after)
    reset = headers.get("X-RateLimit-Reset", "")
    if reset.isdecimal() and float(reset) > time.time():
        return float(reset) - time.time()
    return float(2**attempt)


def parse(status: int, text: bytes, field: str) -> dict[str, Any]:
    """Return the JSON object, or raise the service's own sentence when `field` is "error"."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get(field), str):
        raise FugataError(f"unexpected answer from the service (HTTP {status})")
    if field == "error":
        raise FugataError(answer["error"])
    return answer


def read_content() -> str:
    """Return standard input, which must be UTF-8: JSON carries nothing else."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError("the content is not UTF-8 text") from error


def read_token() -> str:
    """Return the deletion token from the environment, else from standard input."""
    token = (os.environ.get("FUGATA_DELETION_TOKEN") or sys.stdin.readline()).strip()
    if not token or any(not "!" <= character <= "~" for character in token):
        raise UsageError("give the deletion token in FUGATA_DELETION_TOKEN or on standard input")
    return token


def arguments() -> argparse.Namespace:
    """Parse the command line; wrong usage ends the program with status 2."""
    parser = argparse.ArgumentParser(description="Share a secret by a link that expires.")
    commands = parser.add_subparsers(dest="command", required=True)
    creating = commands.add_parser("create", help="store what standard input holds")
    creating.add_argument("--duration", default="1h")
    creating.add_argument("--one-time", action="store_true")
    creating.add_argument("--label")
    for name in ("get", "delete"):
        commands.add_parser(name).add_argument("id")
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    if not BASE_URL.startswith(("http://", "https://")):
        raise UsageError("FUGATA_URL must begin with http:// or https://")
    if args.command == "create":
        print(json.dumps(create(read_content(), args.duration, args.one_time, args.label)))
    elif not args.id:
        raise UsageError("the ID is empty")
    elif args.command == "get":
        sys.stdout.buffer.write(retrieve(args.id).encode())
    else:
        print(delete(args.id, read_token()))


def main() -> NoReturn:
    """Run the client: status 0 for success, 1 for an API error, 2 for wrong usage."""
    try:
        run(arguments())
    except (FugataError, UsageError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    sys.exit(0)


if __name__ == "__main__":
    main()

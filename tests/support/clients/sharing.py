"""A small client of the sharing API, for tests that need shares rather than test how they look."""

import json
from dataclasses import dataclass

from tests.support.clients.wire import Answer, exchange, request


@dataclass(frozen=True, slots=True)
class Share:
    """A share that was acknowledged, and what was put into it."""

    id: str
    token: str
    expires_at: str
    content: str


def create_request(content: str, **more: object) -> bytes:
    """Return the request that shares `content` once, for an hour, unless `more` says otherwise."""
    fields = {"content": content, "duration": "1h", "one_time": True} | more
    return request("POST", "/secrets", json.dumps(fields).encode())


def create(port: int, content: str = "s", **more: object) -> Share:
    """Share `content` and return the share."""
    return acknowledged(exchange(port, create_request(content, **more)), content)


def acknowledged(answer: Answer, content: str) -> Share:
    """Return the share that a 201 acknowledges."""
    assert answer.status == 201, (answer.status, answer.body)
    fields = answer.json()
    return Share(fields["id"], fields["deletion_token"], fields["expires_at"], content)


def open_request(share: Share) -> bytes:
    """Return the request that opens `share`."""
    return request("GET", f"/secrets/{share.id}")


def delete_request(share: Share) -> bytes:
    """Return the request that deletes `share` with its token."""
    return request("DELETE", f"/secrets/{share.id}", authorization=f"Bearer {share.token}")


def open_share(port: int, share: Share) -> Answer:
    """Open `share`."""
    return exchange(port, open_request(share))

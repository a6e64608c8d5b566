"""What every answer of the API has in common."""

from typing import Any


def body_of(answer: Any) -> bytes:
    """Return the answer's bytes, also of one that comes piece by piece."""
    return bytes(answer.getvalue())


def assert_error(answer: Any, status: int, sentence: str) -> None:
    """It is exactly the documented error."""
    assert answer.status_code == status
    assert answer.json() == {"error": sentence}
    assert_json(answer)


def assert_json(answer: Any) -> None:
    """It is JSON that nobody may keep."""
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"


def assert_page(answer: Any, status: int = 200) -> None:
    """It is HTML that nobody may keep."""
    assert answer.status_code == status
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"


def assert_unopened(client: Any, share_id: str, content: str = "s3cret") -> None:
    """The one-time share still opens."""
    answer = client.get(f"/secrets/{share_id}")
    assert answer.status_code == 200
    assert answer.json()["content"] == content

"""The API through Django's test client."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.support.runner.marking import marks

pytest_collection_modifyitems = marks(__file__, "values")

Post = Callable[..., Any]


@pytest.fixture
def post(client: Client) -> Post:
    """`post(content="…", …)` asks for a share; `post(b"…")` sends that body."""

    def send(body: bytes | None = None, **fields: object) -> Any:
        if body is None:
            fields = {"content": "s3cret", "duration": "1h"} | fields
            body = json.dumps(fields).encode()
        return client.post("/secrets", body, content_type="application/json")

    return send


@pytest.fixture
def share_id(post: Post) -> str:
    """The id of a one-time share whose content is `s3cret`."""
    return str(post(one_time=True).json()["id"])

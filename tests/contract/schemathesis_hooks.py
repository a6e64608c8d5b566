"""Deletes what schemathesis created with the token that came with it; new keys for new requests.

A link of OpenAPI can carry an id from one answer to the next request, but no Authorization. And the
example of an Idempotency-Key, sent with one body after the other, is a 422 as it should be.
"""

import re
import secrets
from typing import Any

import schemathesis

_WRONG = "tok_" + "a" * 22
_tokens: dict[str, str] = {}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give each request that has a usable Idempotency-Key one of its own."""
    headers = case.headers or {}
    if re.fullmatch(r"[!-~]{22,255}", str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = secrets.token_hex(16)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remember what was created."""
    if case.operation.label == "POST /secrets" and response.status_code == 201:
        made = response.json()
        _tokens[made["id"]] = made["deletion_token"]


@schemathesis.auth(refresh_interval=None)
class DeletionToken:
    """The token that belongs to the id, or one that belongs to none."""

    def get(self, case: Any, context: Any) -> str:
        """Return the token for a request."""
        return _tokens.get((case.path_parameters or {}).get("id", ""), _WRONG)

    def set(self, case: Any, data: str, context: Any) -> None:
        """Put it into the request."""
        case.headers["Authorization"] = f"Bearer {data}"

"""Bearer tokens (RFC 6750, section 2.1)."""

import re

from django.http import HttpRequest

_BEARER = re.compile(r"bearer +([^\s]{1,4096})", re.IGNORECASE)


def bearer_token(request: HttpRequest) -> str | None:
    """Return the Authorization header's bearer token; None if it has none."""
    match = _BEARER.fullmatch(request.META.get("HTTP_AUTHORIZATION", "").strip())
    return match[1] if match else None

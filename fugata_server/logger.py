"""gunicorn's own logs, formatted like all others; the access log identifies nobody."""

import re
from typing import Any

from django.conf import settings
from gunicorn import glogging

from fugata_core.logs import formatter, redact, request_id
from fugata_core.routes import (
    CONSOLE,
    DOCS,
    METRICS,
    NEW_SHARE,
    OPENAPI,
    PRIVATE,
    PROBES,
    SHARES_API,
    STATIC,
)

_WHOLE = (NEW_SHARE, *PROBES, METRICS, DOCS, OPENAPI, SHARES_API)
_KNOWN = re.compile(
    rf"{'|'.join(map(re.escape, _WHOLE))}|({'|'.join(PRIVATE)})/.*"
    rf"|{STATIC}[-._/0-9A-Za-z]*|{CONSOLE}[_/0-9a-z]*",
    re.DOTALL,
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


def _known_place(environ: dict[str, Any]) -> str:
    """Return the path if it is one of ours: what follows a body may look like a request."""
    path: str = environ.get("PATH_INFO", "")
    if not _KNOWN.fullmatch(path):
        return "[unknown]"
    return redact(path).encode("unicode_escape").decode()


class GunicornLogger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's logs through the same formatter; the access log names no client and no id."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in [*self.error_log.handlers, *self.access_log.handlers]:
            handler.setFormatter(formatter(settings.LOG_FORMAT))

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Log a response under the X-Request-ID that it was sent with."""
        headers = {str(name).lower(): str(value) for name, value in resp.headers}
        token = request_id.set(headers.get("x-request-id", ""))
        try:
            super().access(resp, req, environ, request_time)
        finally:
            request_id.reset(token)

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return the access log's fields without address, referrer, query and user."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        path, method = _known_place(environ), environ.get("REQUEST_METHOD", "")
        method = method if method in _METHODS else "[unknown]"
        request = f"{method} {path} {environ.get('SERVER_PROTOCOL')}"
        return atoms | {"h": "-", "u": "-", "q": "", "f": "-", "U": path, "r": request}

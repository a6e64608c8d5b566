"""Logs that tell what happened and to nobody's harm: no id, token, or client address."""

import logging
import re
from typing import Any

from gunicorn import glogging

_SECRETS = re.compile(r"(fug|tok|fgt)_\w+", re.ASCII)
_PLACES = re.compile(r"/(secrets|s|repositories)/[^\s?#\"']+")
_KNOWN = re.compile(
    r"/|/healthz|/livez|/secrets|/(secrets|s|repositories)/.*|/static/[-._/0-9A-Za-z]*"
    r"|/admin/[_/0-9a-z]*",
    re.DOTALL,
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
# gunicorn quotes what it could not parse, which may be a piece of a body.
_REFUSED = re.compile(r"Invalid request from ip=.*", re.DOTALL)
_REQUEST = re.compile(r"Error handling request .*")


def redacted(text: str) -> str:
    """Return `text` with share ids, tokens, places and what gunicorn quotes taken out."""
    text = _REFUSED.sub("Invalid request refused", text)
    text = _REQUEST.sub("Error handling a request", text)
    text = _PLACES.sub(r"/\1/[redacted]", text)
    return _SECRETS.sub(r"\1_[redacted]", text)


class RedactingFormatter(logging.Formatter):
    """Formats a record on one line, or with its traceback, redacted as a whole."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _known_place(environ: dict[str, Any]) -> str:
    """Return the path where it is one of ours: what follows a body may look like a request."""
    path: str = environ.get("PATH_INFO", "")
    if not _KNOWN.fullmatch(path):
        return "[unknown]"
    return redacted(path).encode("unicode_escape").decode()


class GunicornLogger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's logs through the same formatter; the access log names no client and no id."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in [*self.error_log.handlers, *self.access_log.handlers]:
            handler.setFormatter(RedactingFormatter())

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return the access log's fields without address, referrer, query and user."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        path, method = _known_place(environ), environ.get("REQUEST_METHOD", "")
        method = method if method in _METHODS else "[unknown]"
        request = f"{method} {path} {environ.get('SERVER_PROTOCOL')}"
        return atoms | {"h": "-", "u": "-", "q": "", "f": "-", "U": path, "r": request}

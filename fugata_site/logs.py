"""Logs that tell what happened and to nobody's harm: no id, token, or client address.

As text, or as JSON, one object a line (LOG_FORMAT), with the request's or the task's id.
"""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from celery import current_task
from django.conf import settings
from gunicorn import glogging

#: The X-Request-ID of the request that this thread answers, while it does.
request_id: ContextVar[str] = ContextVar("request_id", default="")

_SECRETS = re.compile(r"(fug|tok|fgt)_\w+", re.ASCII)
_PLACES = re.compile(r"/(secrets|s|repositories)/[^\s?#\"']+")
_KNOWN = re.compile(
    r"/|/healthz|/livez|/metrics|/docs|/openapi\.json|/secrets|/(secrets|s|repositories)/.*"
    r"|/static/[-._/0-9A-Za-z]*|/admin/[_/0-9a-z]*",
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


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object on one line, redacted as the text is."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        # As a whole: what is said of a message may hold for the traceback under it too.
        whole, message = redacted(super().format(record)), redacted(record.getMessage())
        traceback = whole.removeprefix(message).strip("\n")
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "exception": traceback,
            "request_id": request_id.get(),
        }
        return json.dumps({name: text for name, text in (fields | _task()).items() if text})


def _task() -> dict[str, str]:
    """Return name and id of the Celery task that is being run, if any."""
    if not current_task or not current_task.request.id:
        return {}
    return {"task": current_task.name, "task_id": current_task.request.id}


def formatter() -> logging.Formatter:
    """Return the formatter that LOG_FORMAT names."""
    return JsonFormatter() if settings.LOG_FORMAT == "json" else RedactingFormatter()


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
            handler.setFormatter(formatter())

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Log an answer under the id that it went out with."""
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

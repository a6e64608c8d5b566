"""Log formatters that redact ids, tokens, private paths, and what gunicorn quotes.

As text, or as JSON, one object per line (LOG_FORMAT), with the request's or the task's id. The
supervisor writes through these too, so nothing here loads Django, Celery or gunicorn. A database's
own messages are left out.
"""

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from fugata_core.routes import PRIVATE
from fugata_core.terminal import escaped
from fugata_core.tokens import PREFIXES
from fugata_core.tracebacks import may_quote, without_messages

#: The X-Request-ID of the request that this thread is handling, if any.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# More than tokens.cut_secrets cuts: a log names nothing that begins so, also in an address.
_BEGINNINGS = "|".join(PREFIXES).replace("_", "(?:_|%5F)")
_SECRETS = re.compile(rf"({_BEGINNINGS})\w+", re.ASCII | re.IGNORECASE)
_PRIVATE_PATHS = re.compile(rf"({'|'.join(PRIVATE)})/[^\s?#\"']+")
# gunicorn quotes what it could not parse, which may be a piece of a body.
_REFUSED = re.compile(r"Invalid request from ip=.*", re.DOTALL)
_REQUEST = re.compile(r"Error handling request .*")
# Stands for a line break in what is quoted (NEL, another one), up to the end of redaction.
_QUOTED_BREAK = "\x85"


def redact(text: str) -> str:
    """Return `text` without share ids, tokens, private paths and what gunicorn quotes."""
    text = _REFUSED.sub("Invalid request refused", text)
    text = _REQUEST.sub("Error handling a request", text)
    text = _PRIVATE_PATHS.sub(r"\1/[redacted]", text)
    return _SECRETS.sub(r"\1[redacted]", text)


class _Formatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        _, error, _ = ei
        return without_messages(error) if may_quote(error) else super().formatException(ei)


class RedactingFormatter(_Formatter):
    """Formats a record on one line, or with its traceback, redacted as a whole.

    What a message or an exception quotes can't begin a line, which would pass for a record, nor
    control the terminal that shows it.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        redacted = redact(super().format(record)).replace(_QUOTED_BREAK, r"\n")
        return escaped(redacted, keep="\n")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the message on one line; its breaks are shown once it is redacted."""
        return super().formatMessage(record).replace("\n", _QUOTED_BREAK)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        if may_quote(ei[1]):
            return super().formatException(ei)
        return "".join(map(_one_line, traceback.format_exception(*ei))).removesuffix("\n")


def _one_line(piece: str) -> str:
    """Return a piece of a traceback: what an exception says is put on one line."""
    if piece.lstrip(" |").startswith('File "'):  # lines of our code
        return piece
    inside = piece.strip("\n")
    return piece.replace(inside, inside.replace("\n", _QUOTED_BREAK)) if inside else piece


class JsonFormatter(_Formatter):
    """Formats a record as a JSON object on one line, redacted as the text is."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        # Redacted as a whole: a match in the message may extend into the traceback.
        whole, message = redact(super().format(record)), redact(record.getMessage())
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
    """Return the name and id of the Celery task that is running, if any."""
    celery = sys.modules.get("celery")  # if it is not loaded, no task is running
    task = celery.current_task if celery else None
    if not task or not task.request.id:
        return {}
    return {"task": task.name, "task_id": task.request.id}


def formatter(log_format: str) -> logging.Formatter:
    """Return the formatter that LOG_FORMAT names."""
    return JsonFormatter() if log_format == "json" else RedactingFormatter()

"""Which messages start a task: those that beat could have sent. No more of them is used.

Anybody who can write to Redis can put anything on the queue: arguments, tasks of Celery's
own that run others, a task's callbacks, and ids and names that would forge lines of the log.
"""

import re
from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default

#: The headers that are used. Others name a task in the log (`shadow`), or put it off (`eta`).
_HEADERS = ("task", "id", "expires")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def strict(task: Any, app: Any, consumer: Any) -> Callable[..., object]:
    """Return what begins a task with its message: Celery's, after a check (`Task.Strategy`)."""
    begin = default(task, app, consumer)
    is_ours = not task.name.startswith("celery.")

    def begin_or_refuse(message: Any, body: Any, *callbacks: Any) -> object:
        # A body is given if it was an old protocol's message: the task was named in it.
        if not is_ours or body is not None or not _could_be_beats(message):
            raise InvalidTaskError
        message.headers = {name: message.headers.get(name) for name in _HEADERS}
        return begin(message, body, *callbacks)

    return begin_or_refuse


def _could_be_beats(message: Any) -> bool:
    """Return whether it has a UUID, and neither arguments nor what is to run afterwards."""
    known_as, content = message.headers.get("id"), message.payload
    if not isinstance(known_as, str) or not _UUID.fullmatch(known_as):
        return False
    if not isinstance(content, list) or len(content) != 3 or content[:2] != [[], {}]:
        return False
    return isinstance(content[2], dict) and not any(content[2].values())

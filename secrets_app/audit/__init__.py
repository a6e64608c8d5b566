"""The trail: who did what. An event is written in the transaction of its effect."""

import logging
from dataclasses import dataclass, replace
from typing import Any, Self

from django.db import DatabaseError, connection
from django.http import HttpRequest

from secrets_app.models import AuditEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Actor:
    """`address_hash`: keyed hash of the client's address (16 bytes), or none for the service;
    `bucket`: the name under which its wrong guesses are counted; `username`, `token`: who signed
    in, and the beginning of the access token that did.
    """

    address_hash: bytes | None = None
    request_id: str = ""
    bucket: str = ""
    username: str = ""
    token: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Return who sent `request`, as the middleware found out."""
        return cls(request.client_hash, request.request_id, request.client_bucket)  # type: ignore[attr-defined]

    @classmethod
    def signed_in(cls, request: HttpRequest) -> Self:
        """Return who sent `request` from the admin."""
        return replace(cls.of(request), username=request.user.get_username())


def event(kind: AuditEvent.Kind, actor: Actor, **subject: Any) -> AuditEvent:
    """Return an event that is not written yet; `subject`: share_digest, or repository and key."""
    return AuditEvent(kind=kind, **_who(actor), **subject)


def _who(actor: Actor) -> dict[str, Any]:
    return {
        "username": actor.username,
        "token": actor.token,
        "address_hash": actor.address_hash,
        "request_id": actor.request_id,
    }


def record(kind: AuditEvent.Kind, actor: Actor, **subject: Any) -> None:
    """Write an event, in the caller's transaction if there is one."""
    values = {"kind": str(kind), **_who(actor), **subject}
    columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    # By hand: the ORM would take longer to make the statement than the database to run it.
    statement = f"INSERT INTO secrets_app_auditevent ({columns}) VALUES ({marks})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values.values()))


def record_failure(kind: AuditEvent.Kind, actor: Actor, **subject: Any) -> None:
    """Write the event of something that failed anyway: an error of the database is logged."""
    try:
        record(kind, actor, **subject)
    except DatabaseError as error:
        logger.error("a failure was not recorded: %s", type(error).__name__)


#: The service itself: beat's purge, a command at the terminal.
SERVICE = Actor()
#: Somebody at the terminal, who could do anything anyway.
COMMAND_LINE = Actor(username="command line")

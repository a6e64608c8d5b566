"""The trail: who did what. An event is written in the transaction of its effect."""

import logging
from typing import Any

from django.db import connection

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from fugata_core.database_failures import ANY_ERROR
from fugata_core.tokens import cut_secrets

logger = logging.getLogger(__name__)

#: The columns of an event that say who acted; the values are parameters of a statement, which
#: `actor_parameters` gives.
ACTOR_COLUMNS = "username, token, address_hash, request_id"
ACTOR_VALUES = "%(username)s, %(token)s, %(address_hash)s, %(request_id)s"


def new_event(kind: AuditEvent.Kind, actor: Actor, **subject: Any) -> AuditEvent:
    """Return an unsaved event; `subject`: share_digest, or repository and key."""
    return AuditEvent(kind=kind, **actor_parameters(actor), **recorded(**subject))


def recorded(**subject: Any) -> dict[str, Any]:
    """Return values of an event's columns without ids and tokens: nobody can edit them later.

    People put a token where a repository's id belongs.
    """
    return {
        name: cut_secrets(value) if isinstance(value, str) else value
        for name, value in subject.items()
    }


def actor_parameters(actor: Actor) -> dict[str, Any]:
    """Return the values of ACTOR_COLUMNS."""
    return {
        "username": cut_secrets(actor.username),
        "token": actor.token,
        "address_hash": actor.address_hash,
        "request_id": actor.request_id,
    }


def record(kind: AuditEvent.Kind, actor: Actor, **subject: Any) -> None:
    """Write an event, in the caller's transaction if there is one."""
    values = {"kind": str(kind), **actor_parameters(actor), **recorded(**subject)}
    columns, placeholders = ", ".join(values), ", ".join(["%s"] * len(values))
    # Raw SQL: the ORM would take longer to build the statement than the database to run it.
    statement = f"INSERT INTO audit_app_auditevent ({columns}) VALUES ({placeholders})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values.values()))


def record_failure(kind: AuditEvent.Kind, actor: Actor, **subject: Any) -> None:
    """Write the event of an action that failed anyway; a database error is only logged."""
    try:
        record(kind, actor, **subject)
    except ANY_ERROR as error:
        logger.error("a failure was not recorded: %s", type(error).__name__)

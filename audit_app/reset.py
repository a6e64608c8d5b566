"""Resetting the head that is kept: after a restore, the trail in the database is an earlier one."""

import logging
from dataclasses import dataclass

from audit_app import chain
from audit_app.actors import COMMAND_LINE
from audit_app.chain import Head
from audit_app.errors import HeadUnavailable, NotSealed
from audit_app.heads.base import HeadStore
from audit_app.models import AuditEvent
from audit_app.publish import publish
from audit_app.seal import record_reset, seal_events

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reset:
    """The heads before and after; `before`: None where none was usable."""

    before: Head | None
    after: Head


def reset_head(heads: HeadStore) -> Reset | None:
    """Keep the database's head, and seal an event with both; None if the trail has the kept one.

    The caller has verified the trail. Raises HeadUnavailable, NotSealed.
    """
    before, after = _usable(heads), chain.head()
    if before is not None and chain.goes_on_from(before):
        return None
    subject = f"{before or 'none'} to {after}"
    record_reset(COMMAND_LINE, subject)
    heads.replace(after)
    logger.warning("the audit head was reset, from %s", subject)
    for head in seal_events():
        publish(head)
    _require_event(after, subject)
    return Reset(before, after)


def _require_event(after: Head, subject: str) -> None:
    """Raise NotSealed unless the event is sealed: the reset would hide what was there."""
    resets = AuditEvent.objects.filter(kind=AuditEvent.Kind.HEAD_RESET, subject=subject)
    if not resets.filter(position__gt=after.position).exists():
        raise NotSealed("the event of this reset is not sealed: run manage.py audit seal, and look")


def _usable(heads: HeadStore) -> Head | None:
    """Return what is kept; None if that is no head: then it can be replaced, or that fails."""
    try:
        return heads.read()
    except HeadUnavailable:
        return None

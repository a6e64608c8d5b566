"""Resetting the head that is kept: after a restore, the trail in the database is an earlier one."""

from audit_app import chain
from audit_app.actors import COMMAND_LINE
from audit_app.chain import Head
from audit_app.errors import HeadUnavailable
from audit_app.heads.base import HeadStore
from audit_app.models import AuditEvent
from audit_app.trail import record


def reset_head(heads: HeadStore) -> Head | None:
    """Keep the database's head, and record that with both; None if the trail has the kept one.

    The caller has verified the trail. Raises HeadUnavailable.
    """
    before = _usable(heads)
    after = chain.head()
    if before is not None and chain.goes_on_from(before):
        return None
    # First: a head that was reset without an event would hide what was there.
    record(AuditEvent.Kind.HEAD_RESET, COMMAND_LINE, subject=f"{before or 'none'} to {after}")
    heads.replace(after)
    return after


def _usable(heads: HeadStore) -> Head | None:
    """Return what is kept; None if that is no head: then it can be replaced, or that fails."""
    try:
        return heads.read()
    except HeadUnavailable:
        return None

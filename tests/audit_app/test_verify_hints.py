"""What `audit verify` says beside what is wrong: an intruder is not the only reason."""

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from audit_app.errors import AuditKeyChanged
from audit_app.models import AuditEvent
from audit_app.seal import seal_events
from tests.audit_app.support import edit, events, sealed
from tests.audit_app.test_command import audit

pytestmark = pytest.mark.django_db

RESET = "If you restored a back-up: manage.py audit reset-head"


def refused() -> str:
    with pytest.raises(CommandError) as refusal:
        audit("verify")
    return str(refusal.value)


def test_another_key(settings: Settings) -> None:
    sealed(3)
    settings.AUDIT_KEY = "another"
    assert refused().endswith("Is AUDIT_KEY the one that sealed it?")


def test_an_older_database() -> None:
    sealed(3)
    AuditEvent.objects.filter(position=3).delete()
    assert RESET in refused()


def test_a_break_that_no_reset_mends() -> None:
    """It would be refused: the hint would lead nowhere."""
    sealed(5)
    edit(3, username="mallory")
    AuditEvent.objects.filter(position=5).delete()
    assert "position 3 was changed" in refused()
    assert RESET not in refused()


def test_the_sealer_does_not_blame_the_key_alone() -> None:
    sealed(4)
    AuditEvent.objects.filter(position=3).delete()
    events(1)
    with pytest.raises(AuditKeyChanged, match="or the one before it changed or removed"):
        list(seal_events())

"""`manage.py audit`: verify, seal, export, prune."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.models import AuditEvent
from tests.audit_app.support import edit, events, sealed

pytestmark = pytest.mark.django_db


def audit(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue().strip()


def test_seal_prints_the_head_and_verify_takes_it() -> None:
    events(3)
    head = audit("seal")
    assert head == str(chain.head())
    assert audit("seal") == head
    assert audit("verify", "--head", head).startswith(f"3 events verified. Head: {head}\n")
    events(2)
    assert "2 wait to be sealed" in audit("verify")


def test_verify_fails_and_names_the_first() -> None:
    head = sealed(4)
    AuditEvent.objects.filter(position=4).delete()
    with pytest.raises(CommandError, match="ends at position 3, and position 4 was published"):
        audit("verify", "--head", str(head))
    edit(2, kind="read")
    with pytest.raises(CommandError, match="position 2 was changed"):
        audit("verify")


def test_export() -> None:
    events(2, age=timedelta(days=3))
    events(1)
    lines = [json.loads(line) for line in audit("export").splitlines()]
    assert len(lines) == 3
    assert set(lines[0]) >= {"id", "at", "kind", "share", "repository", "user", "request_id"}
    assert len(audit("export", "--since", "1d", "--format", "jsonl").splitlines()) == 1
    assert len(audit("export", "--since", "2020-01-01").splitlines()) == 3
    assert audit("export", "--since", "2999-01-01T00:00:00Z") == ""


def test_prune(settings: Settings) -> None:
    sealed(2, age=timedelta(days=9))
    settings.AUDIT_RETENTION = None
    with pytest.raises(CommandError, match="AUDIT_RETENTION is not set"):
        audit("prune")
    settings.AUDIT_RETENTION = timedelta(days=8)
    assert audit("prune") == "2 events pruned."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "required"),
        (("burn",), "invalid choice"),
        (("verify", "--head", "x"), "POSITION:HMAC"),
        (("export", "--since", "soon"), "2026-01-31"),
        (("export", "--format", "xml"), "invalid choice"),
    ],
)
def test_wrong_words(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        audit(*arguments)

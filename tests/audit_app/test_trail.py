"""Events: what they never have in them, and one that is lost with the database."""

import pytest
from django.db import InterfaceError, OperationalError

from audit_app import trail
from audit_app.actors import SERVICE, Actor
from audit_app.lookups import count_lookup
from audit_app.models import AuditEvent, LookupCount
from audit_app.trail import new_event, record
from fugata_core.access_tokens import new_access_token


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_a_failure_that_cannot_be_recorded(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("s3cret")

    monkeypatch.setattr(trail, "record", fail)
    trail.record_failure(AuditEvent.Kind.OPEN_FAILED, SERVICE)
    assert caplog.messages == [f"a failure was not recorded: {kind.__name__}"]


def misplaced() -> dict[str, str]:
    """Return the columns that people fill, each with a token where a name belongs."""
    token = new_access_token()
    return dict.fromkeys(("repository", "secret_key", "subject"), f"x-{token}")


def shown(event: AuditEvent) -> set[str]:
    return {event.repository, event.secret_key, event.subject, event.username}


@pytest.mark.django_db
def test_no_id_and_no_token_is_recorded() -> None:
    """Nobody can take it out of the trail again."""
    given = misplaced()
    actor = Actor(username=given["subject"], request_id="request-1")
    record(AuditEvent.Kind.REFUSED, actor, **given)
    cut = {f"x-{given['subject'][2:12]}…"}
    assert shown(AuditEvent.objects.get()) == cut
    assert shown(new_event(AuditEvent.Kind.REFUSED, actor, **given)) == cut


@pytest.mark.django_db
def test_nor_counted() -> None:
    given = misplaced()
    count_lookup(Actor(username=given["subject"]), given["repository"])
    row = LookupCount.objects.get()
    assert (row.repository, row.username) == (f"x-{given['subject'][2:12]}…",) * 2

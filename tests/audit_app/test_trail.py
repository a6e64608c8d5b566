"""An event that is lost with the database: whom it would be no help to is not told."""

import pytest
from django.db import InterfaceError, OperationalError

from audit_app import trail
from audit_app.actors import SERVICE
from audit_app.models import AuditEvent


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_a_failure_that_cannot_be_recorded(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("s3cret")

    monkeypatch.setattr(trail, "record", fail)
    trail.record_failure(AuditEvent.Kind.OPEN_FAILED, SERVICE)
    assert caplog.messages == [f"a failure was not recorded: {kind.__name__}"]

"""What happens to repositories' secrets is counted."""

import pytest
from prometheus_client import REGISTRY

from tests.repositories_app.support import Api, people, token_of

pytestmark = pytest.mark.django_db


def counts() -> dict[str, float]:
    events = ("set", "read", "removed", "not_found", "refused", "failed")
    name = "fugata_repository_secrets_total"
    return {event: REGISTRY.get_sample_value(name, {"event": event}) or 0 for event in events}


def test_secrets() -> None:
    people()
    before, alice, rita = counts(), Api(token_of("alice")), Api(token_of("rita"))
    charlie = Api(token_of("charlie"))
    assert alice.set("KEY", "value").status_code == 201
    assert alice.read("KEY").status_code == 200
    assert alice.read("NONE").status_code == 404
    assert rita.set("KEY", "other").status_code == 403
    assert charlie.read("KEY").status_code == 404
    assert alice.remove("KEY").status_code == 204
    added = {event: value - before[event] for event, value in counts().items()}
    assert added == {
        "set": 1, "read": 1, "not_found": 1, "refused": 2, "removed": 1, "failed": 0,
    }  # fmt: skip

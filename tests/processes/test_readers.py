"""One reader: however many ask at once, a one-time share is handed to exactly one of them."""

import itertools
from collections import Counter

import pytest

from tests.support.clients import stored
from tests.support.clients.sharing import create, delete_request, open_request
from tests.support.clients.wire import volley
from tests.support.servers.service import Service

READERS = 50


@pytest.mark.soak
def test_one_of_fifty_readers(any_crowd: Service, rounds: int) -> None:
    assert len(any_crowd.workers()) == 3
    opened = stored.count(any_crowd, "audit_app_auditevent", "kind = 'opened'")
    for number in range(rounds):
        share = create(any_crowd.port, f"content {number}")
        answers = volley(any_crowd.port, [open_request(share)] * READERS)
        assert Counter(a.status for a in answers) == {200: 1, 404: READERS - 1}
        (winner,) = (a for a in answers if a.status == 200)
        assert winner.json()["content"] == share.content
        assert all(a.json() == {"error": "Secret not found"} for a in answers if a.status == 404)
    events = stored.count(any_crowd, "audit_app_auditevent", "kind = 'opened'")
    assert events - opened == rounds, "each opening is on the audit trail, once"


@pytest.mark.soak
def test_readers_race_with_deletions(any_crowd: Service, rounds: int) -> None:
    for number in range(rounds):
        share = create(any_crowd.port, f"content {number}")
        pair = [open_request(share), delete_request(share)]
        pair = pair if number % 2 else pair[::-1]
        requests = list(itertools.islice(itertools.cycle(pair), READERS))
        answers = volley(any_crowd.port, requests)
        assert Counter(a.status for a in answers) == {200: 1, 404: READERS - 1}


@pytest.mark.soak
def test_a_share_for_many_readers_is_deleted_once(any_crowd: Service, rounds: int) -> None:
    for _ in range(rounds):
        share = create(any_crowd.port, one_time=False)
        answers = volley(any_crowd.port, [delete_request(share)] * 20 + [open_request(share)] * 20)
        assert Counter(a.status for a in answers[:20]) == {200: 1, 404: 19}
        assert {a.status for a in answers[20:]} <= {200, 404}
        (after,) = volley(any_crowd.port, [open_request(share)])
        assert after.status == 404

"""Fixtures of the repositories app's tests."""

import pytest

from tests.repositories_app.support import Api, people, token_of
from tests.support.in_process.fixtures import (
    actor,
    clock,
    faulty_keys,
    frozen_guesses,
    frozen_minute,
    ours,
    remote_store,
)

__all__ = [
    "actor",
    "clock",
    "faulty_keys",
    "frozen_guesses",
    "frozen_minute",
    "ours",
    "remote_store",
]


@pytest.fixture
def members(db: None) -> None:
    """Alice, Bob, Wendy, Rita and Charlie."""
    people()


@pytest.fixture
def api(members: None) -> Api:
    """Alice's repository in Alice's name."""
    return Api(token_of("alice"))

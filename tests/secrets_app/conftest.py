"""Fixtures of the sharing app's tests."""

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

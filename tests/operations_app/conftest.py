"""Fixtures of the operators' tests."""

from tests.support.in_process.fixtures import (
    addresses_forgotten,
    clock,
    faulty_keys,
    frozen_guesses,
    ours,
    remote_store,
)

__all__ = ["addresses_forgotten", "clock", "faulty_keys", "frozen_guesses", "ours", "remote_store"]

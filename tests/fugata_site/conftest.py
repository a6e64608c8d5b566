"""Fixtures of the composition's tests."""

from tests.support.in_process.fixtures import addresses_forgotten, frozen_minute

__all__ = ["addresses_forgotten", "frozen_minute"]

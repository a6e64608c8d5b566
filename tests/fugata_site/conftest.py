"""Fixtures of the composition's tests."""

from tests.support.fixtures import addresses_forgotten, clock

__all__ = ["addresses_forgotten", "clock"]

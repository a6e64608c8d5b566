"""Fixtures of the audit trail's tests."""

from tests.support.fixtures import ours

__all__ = ["ours"]

"""Fixtures of the audit trail's tests."""

from tests.support.in_process.fixtures import ours

__all__ = ["ours"]

"""Fixtures of the composition's tests."""

from django.db import connection

from tests.support.fixtures import addresses_forgotten, clock

__all__ = ["addresses_forgotten", "clock"]

#: What only a database on the other end of a socket can show.
collect_ignore = [] if connection.vendor == "postgresql" else ["test_connections.py"]

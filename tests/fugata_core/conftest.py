"""Fixtures of the foundation's tests."""

from django.db import connection

from tests.support.in_process.fixtures import clock

__all__ = ["clock"]

#: What only a database on the other end of a socket can show.
collect_ignore = [] if connection.vendor == "postgresql" else ["test_connections.py"]

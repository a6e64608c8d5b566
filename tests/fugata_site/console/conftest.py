"""Fixtures of the console's tests: keys of their own, and limits out of the way."""

from tests.support.fixtures import faulty_keys, frozen_guesses, ours, remote_store

__all__ = ["faulty_keys", "frozen_guesses", "ours", "remote_store"]

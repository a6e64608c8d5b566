"""Sharing a secret by a link that expires, and that can be opened once."""

"""Bytes of several parts, so that none runs into another."""


def length_prefixed(*parts: bytes) -> bytes:
    """Return the parts in a row, each behind its length, so that none runs into another."""
    return b"".join(len(part).to_bytes(4) + part for part in parts)

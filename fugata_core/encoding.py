"""Unambiguous encoding of several byte strings as one."""


def length_prefixed(*parts: bytes) -> bytes:
    """Return the parts joined, each prefixed with its length, so that none runs into another."""
    return b"".join(len(part).to_bytes(4) + part for part in parts)

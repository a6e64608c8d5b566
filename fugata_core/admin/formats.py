"""How the console shows digests and times."""

from datetime import datetime


def digest_prefix(digest: bytes | memoryview | None) -> str:
    """Return the beginning of a digest, by which lists and searches tell it from others."""
    return bytes(digest).hex()[:16] if digest else ""


def to_the_second(moment: datetime | None) -> str:
    """Return a moment as lists show it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-"


def to_the_minute(moment: datetime | None) -> str:
    """Return a moment without its seconds."""
    return to_the_second(moment)[:16]


def values_left(count: int) -> str:
    """Return what to say of values whose rows are gone, which the value store still has."""
    if not count:
        return ""
    return (
        f" The value store still has {count} of their values, which nobody can open any more: the"
        " worker deletes them, beginning within the hour, if it answers by then."
    )

"""Durations as people write them: `5m` is five minutes; the units are s, m, h, d."""

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta | None:
    """Return the duration that `text` denotes, at most 999,999 days; None for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text, re.ASCII)
    if match is None or (match[2] == "d" and len(match[1]) > 6):
        return None
    return timedelta(**{_UNITS[match[2]]: int(match[1])})

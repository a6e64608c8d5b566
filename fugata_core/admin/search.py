"""Searching fields that are stored as bytes."""

import re

from django.db.models import Q

_HEX = re.compile(r"[0-9a-f]{8,64}")


def digest_range(field: str, term: str) -> Q:
    """Return the condition that `field` (32 bytes) begins with the hex digits of `term`.

    As a range, so that the field's index is used. A term that is not hex matches nothing.
    """
    if not _HEX.fullmatch(term):
        return Q(pk__in=[])
    least, most = bytes.fromhex(term.ljust(64, "0")), bytes.fromhex(term.ljust(64, "f"))
    return Q(**{f"{field}__gte": least, f"{field}__lte": most})

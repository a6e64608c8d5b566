"""Searching lists, and fields that are stored as bytes."""

import re
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split

from fugata_core.tokens import asks_for_secret

#: Words of a search that count. SQLite takes no condition of a thousand.
MAX_WORDS = 50

_HEX = re.compile(r"[0-9a-f]{8,64}")


def digest_range(field: str, term: str) -> Q:
    """Return the condition that `field` (32 bytes) begins with the hex digits of `term`.

    As a range, so that the field's index is used. A term that is not hex matches nothing.
    """
    if not _HEX.fullmatch(term):
        return Q(pk__in=[])
    least, most = bytes.fromhex(term.ljust(64, "0")), bytes.fromhex(term.ljust(64, "f"))
    return Q(**{f"{field}__gte": least, f"{field}__lte": most})


class BoundedSearch(admin.ModelAdmin):  # type: ignore[type-arg]
    """An admin whose lists are searched by MAX_WORDS words at most."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by the first words; those beyond are passed over.

        What looks for an id or a token finds nothing: lists cut them, and a search would tell more.
        """
        if "\0" in search_term or asks_for_secret(search_term):
            return queryset.none(), False
        first = " ".join(islice(smart_split(search_term), MAX_WORDS))
        return super().get_search_results(request, queryset, first)

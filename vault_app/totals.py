"""How many rows with sealed values there are, and how much content they hold."""

from dataclasses import dataclass

from django.db import models
from django.db.models import Count, Sum


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows there are now; `size`: bytes of their content, in UTF-8 before sealing."""

    rows: int
    size: int


def total(rows: models.QuerySet[models.Model]) -> Total:
    """Return the number and total size of rows that have a `size`."""
    found = rows.aggregate(rows=Count("pk"), size=Sum("size", default=0))
    return Total(found["rows"], found["size"])

"""What is counted per minute becomes events when the minute is over."""

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet

from audit_app.models import AuditEvent

_BATCH = 10_000
_Count = TypeVar("_Count", bound=Model)


def this_minute() -> int:
    """Return the number of the minute, as counts have it: whole minutes since 1970."""
    return int(time.time() // 60)


def convert_past(counts: QuerySet[_Count], as_event: Callable[[_Count], AuditEvent]) -> int:
    """Turn each of `counts` that is of a past minute into one event; return how many."""
    past = counts.filter(minute__lt=this_minute())
    with transaction.atomic():
        batch = list(past.select_for_update(skip_locked=True).order_by("minute", "pk")[:_BATCH])
        AuditEvent.objects.bulk_create(map(as_event, batch))
        counts.filter(pk__in=[count.pk for count in batch]).delete()
    return len(batch)

"""The worker's tasks for operators."""

from fugata_core.tasks import shared_task
from operations_app import statistics


@shared_task
def count_hours() -> int:
    """Count what happened in past hours; return how many hours."""
    return statistics.count_hours()

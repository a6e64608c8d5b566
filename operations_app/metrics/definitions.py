"""Metrics of the site itself. Every label has a handful of values: no id, no path, no address."""

from functools import lru_cache

from prometheus_client import Counter, Histogram

REQUESTS = Histogram(
    "fugata_http_request_duration_seconds",
    "Seconds from the first middleware to the answer, by endpoint, method and class of status",
    ["endpoint", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RATE_LIMITED = Counter(
    "fugata_rate_limited", "Requests refused by an empty token bucket, by whose it was", ["by"]
)
TASKS = Counter("fugata_tasks", "Runs of periodic tasks", ["task", "outcome"])
for _kind in ("client", "token"):
    RATE_LIMITED.labels(_kind)


@lru_cache(maxsize=1024)
def requests(endpoint: str, method: str, status: str) -> Histogram:
    """Return the histogram of such requests, cached: looking it up in REQUESTS takes longer."""
    return REQUESTS.labels(endpoint, method, status)

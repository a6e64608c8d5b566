"""The answer to a scrape, on the public port or on METRICS_PORT."""

import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from audit_app.guessing import refuse_wrong_scrape, require_few_wrong_scrapes
from fugata_core.errors import FugataError
from operations_app.diagnostics import monitor
from operations_app.metrics import definitions, folder
from operations_app.metrics.totals import totals


@dataclass(frozen=True, slots=True)
class ScrapeResponse:
    """An HTTP response, independent of any framework."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def scrape(method: str, authorization: str, accept: str, bucket: str) -> ScrapeResponse:
    """Return the figures of all processes, or a refusal. Takes three seconds at most.

    `bucket`: under which the client's wrong tokens are counted.
    """
    if method not in ("GET", "HEAD"):
        return ScrapeResponse(405, b'{"error": "Method not allowed"}', {"Allow": "GET, HEAD"})
    try:
        _require_token(authorization, bucket)
    except FugataError as refusal:
        return _refusal(refusal)
    encode, content_type = choose_encoder(accept)
    return ScrapeResponse(200, encode(_registry()), {"Content-Type": content_type})


def _refusal(error: FugataError) -> ScrapeResponse:
    body = json.dumps({"error": error.sentence}).encode()
    return ScrapeResponse(error.status, body, error.headers)


def _require_token(authorization: str, bucket: str) -> None:
    """Raise Unauthorized for a wrong token, or RateLimited after too many of them."""
    if not settings.METRICS_TOKEN:
        return
    require_few_wrong_scrapes(bucket)
    if not _is_the_token(authorization):
        raise refuse_wrong_scrape(bucket)


def _is_the_token(authorization: str) -> bool:
    scheme, _, token = authorization.strip().partition(" ")
    right = hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    return right and scheme.lower() == "bearer"


class ProcessesCollector(MultiProcessCollector):
    """The sums of what all processes counted."""

    def __init__(self, path: str) -> None:
        super().__init__(None, path)  # type: ignore[no-untyped-call]
        self._folder = Path(path)

    def collect(self) -> Iterable[Metric]:
        """Return the sums, skipping the empty files of processes that are still starting."""
        files = [str(file) for file in self._folder.glob("*.db") if _has_begun(file)]
        merged: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]
        return merged


def _has_begun(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # of a process that just ended
        return False


class HealthCollector(Collector):
    """What /healthz says, as a number."""

    def collect(self) -> Iterator[Metric]:
        """Yield 1 if healthy, else 0; wait only for the first probe."""
        text = "Whether database, value store and key provider can be used (as /healthz says)"
        yield GaugeMetricFamily("fugata_healthy", text, float(monitor.problem() is None))


def _registry() -> CollectorRegistry:
    """Return the metrics of all processes, and those that this one measures at the scrape."""
    path = folder.current()
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(path) if path else REGISTRY)
    registry.register(HealthCollector())
    registry.register(totals)
    return registry


__all__ = ["ScrapeResponse", "definitions", "scrape"]

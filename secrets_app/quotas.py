"""Quotas: how many live shares, and how many bytes, each client and the installation may keep.

A share that was opened under an idempotency key counts until the answer kept for a retry expires.
Off unless set; then nothing is counted. A client's shares are counted before each create, through
an index of shares with a client: exact except for the same client's concurrent creates, which its
token bucket bounds. The whole installation's are measured every few seconds in each process, which
adds its own creates in between: exact except for creates in flight during a measurement, and for
what other processes create until the next.
"""

import math
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Min, QuerySet

from audit_app.actors import Actor
from fugata_core.clock import clock
from secrets_app.errors import ClientQuotaReached, InstallationFull
from secrets_app.idempotency import answers_with_content
from secrets_app.models import Share
from vault_app.totals import total

#: Seconds for which a measurement of the installation is valid, and one that says "full".
VALID_FOR = 10.0
VALID_FOR_IF_FULL = 1.0


@dataclass(frozen=True, slots=True)
class Quota:
    """The maximum number of live shares and of bytes of their content; 0 means no limit."""

    shares: int
    bytes: int

    def exceeded_limit(self, shares: int, size: int) -> str | None:
        """Return the limit that is exceeded, in words, or None."""
        if self.shares and shares > self.shares:
            return f"{self.shares} secrets at a time"
        if self.bytes and size > self.bytes:
            return f"{self.bytes} bytes at a time"
        return None


def client_quota() -> Quota:
    """Return what one client may keep."""
    return Quota(settings.QUOTA_SHARES_PER_CLIENT, settings.QUOTA_BYTES_PER_CLIENT)


def installation_quota() -> Quota:
    """Return what the installation may keep."""
    return Quota(settings.QUOTA_SHARES_TOTAL, settings.QUOTA_BYTES_TOTAL)


def counted_client(actor: Actor) -> bytes | None:
    """Return the keyed hash of the address, or IPv6 /64, that a share counts under, or None."""
    return bytes.fromhex(actor.bucket) if client_quota() != Quota(0, 0) and actor.bucket else None


def reserve_quota(actor: Actor, size: int) -> None:
    """Admit one more share of `size` bytes. Raises ClientQuotaReached or InstallationFull."""
    client = counted_client(actor)
    if client is not None:
        _check_client(client, size)
    if installation_quota() != Quota(0, 0) and not installation_usage.try_reserve(size):
        raise InstallationFull()


def _check_client(client: bytes, size: int) -> None:
    kept = [rows.filter(client=client) for rows in _all_kept()]
    sums = [total(rows) for rows in kept]
    count, held = sum(each.rows for each in sums), sum(each.size for each in sums)
    limit = client_quota().exceeded_limit(count + 1, held + size)
    if limit:
        raise ClientQuotaReached(limit, _seconds_to_expiry(kept))


def _all_kept() -> list[QuerySet[Any]]:
    """Return the rows that hold content: live shares, and answers kept for retries."""
    return [Share.objects.live(), answers_with_content()]


def _seconds_to_expiry(kept: list[QuerySet[Any]]) -> int:
    """Return the seconds until the first of these rows expires; 60 if there is none."""
    ends = [rows.aggregate(first=Min("expires_at"))["first"] for rows in kept]
    first: datetime | None = min((end for end in ends if end), default=None)
    if first is None:
        return 60
    return max(math.ceil(first.timestamp() - clock.now()), 1)


class InstallationUsage:
    """What all clients keep in total, as far as this process knows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measuring = threading.Lock()
        self._shares = self._bytes = 0
        self._at = -math.inf

    def try_reserve(self, size: int) -> bool:
        """Count one more share of `size` bytes; return False if that exceeds the quota."""
        if self._is_old(VALID_FOR):
            self._measure()
        if self._take(size):
            return True
        if not self._is_old(VALID_FOR_IF_FULL):
            return False
        self._measure()
        return self._take(size)

    def _is_old(self, seconds: float) -> bool:
        return time.monotonic() - self._at > seconds

    def _take(self, size: int) -> bool:
        with self._lock:
            if installation_quota().exceeded_limit(self._shares + 1, self._bytes + size):
                return False
            self._shares += 1
            self._bytes += size
            return True

    def _measure(self) -> None:
        """Measure, unless another thread is measuring: then the last result is good enough."""
        if not self._measuring.acquire(blocking=self._at == -math.inf):
            return
        try:
            if self._is_old(VALID_FOR_IF_FULL):
                self._count()
        finally:
            self._measuring.release()

    def _count(self) -> None:
        at = time.monotonic()
        kept = [total(rows) for rows in _all_kept()]
        with self._lock:
            self._shares = sum(each.rows for each in kept)
            self._bytes, self._at = sum(each.size for each in kept), at


installation_usage = InstallationUsage()

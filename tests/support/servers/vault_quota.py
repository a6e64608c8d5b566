"""The rate limit of the stand-in of Vault: vault/quotas/quotas_rate_limit.go of OpenBao."""

import threading
import time


class Quota:
    """Lets through `calls` in each interval of `seconds`; `headers`: whether answers tell."""

    def __init__(self, calls: int, seconds: int, headers: bool) -> None:
        self._calls, self._seconds, self._headers = calls, seconds, headers
        self._lock, self._left, self._tick = threading.Lock(), calls, 0
        self._began = time.monotonic()

    def take(self) -> tuple[bool, dict[str, str]]:
        """Return whether a call may pass, and the headers of its answer."""
        with self._lock:
            passed = time.monotonic() - self._began
            if int(passed / self._seconds) > self._tick:
                self._tick, self._left = int(passed / self._seconds), self._calls
            may, self._left = self._left > 0, max(self._left - 1, 0)
            until = int((self._tick + 1) * self._seconds - passed)
            return may, self._told(may, until) if self._headers else {}

    def _told(self, may: bool, until: int) -> dict[str, str]:
        headers = {"X_Ratelimit_Limit": self._calls, "X_Ratelimit_Remaining": self._left}
        headers |= {"X_Ratelimit_Reset": until} | ({} if may else {"Retry_After": until})
        return {name: str(value) for name, value in headers.items()}

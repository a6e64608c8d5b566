"""When a hold on deletions is renewed: often enough, and where others see it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.db import connection

from fugata_core.database_failures import ANY_ERROR

#: Seconds between two renewals of the hold: no session is idle for longer, or a firewall or
#: idle_session_timeout may end it.
RENEW_INTERVAL = 20.0


def in_good_time(renew: Callable[[], None]) -> Callable[[], None]:
    """Return what renews, if the last time was more than RENEW_INTERVAL ago. Raises as `renew`."""
    renewed = time.monotonic()

    def renew_if_due() -> None:
        nonlocal renewed
        if time.monotonic() - renewed > RENEW_INTERVAL:
            renew()
            renewed = time.monotonic()

    return renew_if_due


def beside_transaction(renew: Callable[[], None]) -> Callable[[], None]:
    """Return what renews on another connection: what the transaction changes, nobody sees yet.

    SQLite has no second writer. Where it fails for now, the renewal at the end decides.
    """

    def renew_beside() -> None:
        if connection.vendor == "postgresql":
            with suppress(*ANY_ERROR), ThreadPoolExecutor(1) as pool:
                pool.submit(_then_disconnect, renew).result()

    return renew_beside


def _then_disconnect(act: Callable[[], None]) -> None:
    """Act on a thread's connection, and end that."""
    try:
        act()
    finally:
        connection.close()

"""Publishes heads outside the database: to the log and, if configured, a file and a webhook.

A published head reveals that the trail's end was cut off, or that an older database was put back
in its place.
"""

import json
import logging
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from audit_app.chain import Head
from fugata_core.clock import iso

#: Seconds that the webhook may take.
TIMEOUT = 5.0

logger = logging.getLogger(__name__)


def publish(head: Head) -> None:
    """Publish `head`. A failure is logged, and nothing is lost: the next head covers it."""
    logger.info("audit head %s", head)
    for setting, send in (("AUDIT_HEAD_PATH", _append), ("AUDIT_WEBHOOK_URL", _post)):
        target: str = getattr(settings, setting)
        if not target:
            continue
        try:
            send(target, head)
        except (OSError, ValueError) as error:
            logger.error("%s: the audit head was not published: %s", setting, type(error).__name__)


def _append(path: str, head: Head) -> None:
    with Path(path).open("a") as file:
        file.write(f"{iso(datetime.now(UTC))} {head}\n")


def _post(url: str, head: Head) -> None:
    body = {"head": str(head), "at": iso(datetime.now(UTC))}
    request = urllib.request.Request(  # noqa: S310  # settings allow http and https alone
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
        pass

"""Publishes heads outside the installation: to the log and, if configured, a webhook.

A head that somebody else has reveals that the trail's end was cut off, or that an older database
was put back, also to those who do not trust this installation's own (audit_app/heads).
"""

import json
import logging
import urllib.request
from datetime import UTC, datetime

from django.conf import settings

from audit_app.chain import Head
from fugata_core.clock import iso

#: Seconds that the webhook may take.
TIMEOUT = 5.0

logger = logging.getLogger(__name__)


def publish(head: Head) -> None:
    """Publish `head`. A failure is logged, and nothing is lost: the next head covers it."""
    logger.info("audit head %s", head)
    if not settings.AUDIT_WEBHOOK_URL:
        return
    try:
        _post(settings.AUDIT_WEBHOOK_URL, head)
    except (OSError, ValueError) as error:
        kind = type(error).__name__
        logger.error("AUDIT_WEBHOOK_URL: the audit head was not published: %s", kind)


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

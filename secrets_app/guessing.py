"""Guessing: well-formed but wrong tokens are counted per client, 30 in five minutes (design.md)."""

import logging

from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage

from secrets_app.audit import Actor
from secrets_app.audit.refusals import count_refusal
from secrets_app.errors import FugataError, RateLimited, Unauthorized

logger = logging.getLogger(__name__)


def wrong_guess(actor: Actor, counts: bool) -> FugataError:
    """Return what a wrong token deserves: Unauthorized, or RateLimited after too many."""
    count_refusal(actor)
    usage = _count(actor.bucket) if counts else None
    if usage and usage["should_limit"]:
        return RateLimited(retry_after=max(usage["time_left"], 1))
    return Unauthorized()


def _count(bucket: str) -> dict[str, int] | None:
    """Count one more; None where the cache can't be asked, which lets the answer be a 401."""
    try:
        return get_usage(  # type: ignore[no-any-return]
            HttpRequest(),
            group="guess",
            key=lambda group, request: bucket,
            rate=settings.GUESS_RATE,
            increment=True,
        )
    except Exception as error:  # whatever the cache's client raises
        logger.warning("a wrong guess was not counted: %s", type(error).__name__)
        return None

"""Guessing: well-formed but wrong tokens are counted per client, 30 in five minutes (docs/api.md).

Wrong attempts to sign in to the console are counted per client, per account and network, and per
account.
"""

import logging
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django_ratelimit.core import get_usage

from audit_app.actors import Actor
from audit_app.refusals import count_refusal
from fugata_core.errors import FugataError, RateLimited, TooManySignIns, Unauthorized
from fugata_core.metrics import event_counter

GUESSES = event_counter(
    "fugata_wrong_guesses",
    "Well-formed but wrong tokens; refused: after too many of one client",
    ["counted", "refused"],
)

#: A limit's name, what is counted (a keyed hash), and how much is allowed.
Limit = tuple[str, str, str]

logger = logging.getLogger(__name__)


def refuse_wrong_token(actor: Actor, well_formed: bool) -> FugataError:
    """Record a wrong token and return the error: Unauthorized, or RateLimited after too many."""
    count_refusal(actor)
    if not well_formed:
        return Unauthorized()
    refusal = _too_many(_count("guess", actor.bucket, settings.GUESS_RATE))
    GUESSES.labels("refused" if refusal else "counted").inc()
    return refusal or Unauthorized()


def require_few_wrong_scrapes(bucket: str) -> None:
    """Raise RateLimited if there were too many wrong tokens for the metrics.

    Before the token is compared: an operator chose it, so it may be worth guessing. `bucket` may be
    an address: only a keyed hash of it is counted under.
    """
    usage = _count("metrics", _scraper(bucket), settings.GUESS_RATE, increment=False)
    if refusal := _too_many(usage):
        raise refusal


def refuse_wrong_scrape(bucket: str) -> FugataError:
    """Count a wrong token for the metrics, and return the error; the trail is not about those."""
    return _too_many(_count("metrics", _scraper(bucket), settings.GUESS_RATE)) or Unauthorized()


def _scraper(bucket: str) -> str:
    return salted_hmac("fugata.metrics", bucket).hexdigest()


def refuse_many_sign_ins(actor: Actor, username: str) -> None:
    """Count an attempt to sign in. Raises TooManySignIns, before any password is checked.

    Per account too, because a password, unlike a token, can be guessed from many addresses. In the
    client's network first: attempts that are refused for that lock nobody out elsewhere. What one
    limit refuses is not looked at, so it is taken back from those before.
    """
    passed: list[Limit] = []
    for limit in _sign_in_limits(actor, username):
        try:
            _refuse_if_too_many_wrong(limit, _count(*limit))
        except TooManySignIns:
            _forgive(passed)
            raise
        passed.append(limit)


def forgive_sign_in(actor: Actor, username: str) -> None:
    """Take back an attempt that was counted: the password was right, or was not looked at."""
    _forgive(_sign_in_limits(actor, username))


def _forgive(limits: Iterable[Limit]) -> None:
    for group, bucket, rate in limits:
        _count(_forgiven(group), bucket, rate)


def _sign_in_limits(actor: Actor, username: str) -> Iterator[Limit]:
    """Yield the limits of an attempt, in the order in which they are asked."""
    yield "sign-in", actor.bucket, settings.SIGN_IN_RATE
    here = salted_hmac("fugata.sign-in", f"{actor.network} {username}").hexdigest()
    yield "account in network", here, settings.ACCOUNT_IN_NETWORK_RATE
    account = salted_hmac("fugata.sign-in", username).hexdigest()
    yield "account", account, settings.ACCOUNT_RATE


def _refuse_if_too_many_wrong(limit: Limit, usage: dict[str, int] | None) -> None:
    """Raise TooManySignIns if too many attempts were wrong, or are being looked at.

    What is forgiven has a count of its own, which only grows: of any number of attempts at the same
    moment, no more than allowed are looked at and wrong. That holds because a limit forgives only
    what it let pass.
    """
    if not usage or not usage["should_limit"]:
        return
    group, bucket, rate = limit
    forgiven = _count(_forgiven(group), bucket, rate, increment=False)
    if forgiven and usage["count"] - forgiven["count"] > usage["limit"]:
        raise TooManySignIns(retry_after=max(usage["time_left"], 1))


def _forgiven(group: str) -> str:
    return f"{group} forgiven"


def _too_many(usage: dict[str, int] | None) -> RateLimited | None:
    if not usage or not usage["should_limit"]:
        return None
    return RateLimited(retry_after=max(usage["time_left"], 1))


def _count(group: str, bucket: str, rate: str, *, increment: bool = True) -> dict[str, int] | None:
    """Count one attempt; return None if the cache is unavailable: it passes uncounted."""
    try:
        return get_usage(  # type: ignore[no-any-return]
            HttpRequest(),
            group=group,
            key=lambda group, request: bucket,
            rate=rate,
            increment=increment,
        )
    except Exception as error:  # the cache's client may raise anything
        logger.warning("a wrong guess was not counted: %s", type(error).__name__)
        return None

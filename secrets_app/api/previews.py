"""Which clients get the share page instead of the secret: browsers and link-preview robots."""

import re
from functools import lru_cache

from django.http import HttpRequest

from fugata_core.negotiation import prefers_html

#: Robots that fetch a link because it was pasted somewhere; they must never open a share.
_PREVIEW_ROBOTS = re.compile(
    r"slackbot|slack-imgproxy|twitterbot|facebookexternalhit|facebot|whatsapp|telegrambot|discordbot"
    r"|linkedinbot|skypeuripreview|microsoftpreview|microsoft-?teams|ms-?office|\boutlook\b|mattermost"
    r"|rocket\.?chat|zulip|\bmatrix\b|\bsynapse/|\bsignal\b|viber|googlebot|google-(?!http-)"
    r"|googleother|bingbot"
    r"|bingpreview|applebot|duckduckbot|yandex|baiduspider|redditbot|pinterest|embedly|iframely"
    r"|vkshare|bitlybot|bufferbot|tumblr|flipboard|quora link|\bnotion|mastodon|bluesky|cardyb"
    r"|preview|unfurl|crawler|spider|urlscan|safelinks|proofpoint|mimecast|barracuda"
    r"|externalagent|externalfetcher",
    re.IGNORECASE,
)
#: Anything else that calls itself a bot is a robot unless it asks for JSON explicitly.
_BOT = re.compile(r"bot\b", re.IGNORECASE)


def is_preview_robot(request: HttpRequest) -> bool:
    """Return whether the client is the robot of a chat, a mail gateway or a search engine."""
    named, likely = _robot(request.META.get("HTTP_USER_AGENT", ""))
    return named or (likely and "json" not in request.META.get("HTTP_ACCEPT", ""))


@lru_cache(maxsize=1024)  # clients repeat themselves, and dozens of patterns are slow
def _robot(agent: str) -> tuple[bool, bool]:
    """Return whether `agent` is a known robot, and whether it calls itself a bot."""
    return bool(_PREVIEW_ROBOTS.search(agent)), bool(_BOT.search(agent))


def wants_page(request: HttpRequest) -> bool:
    """Return whether the share page is the right response to a GET of the API's URL."""
    return prefers_html(request) or is_preview_robot(request)

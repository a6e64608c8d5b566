"""Who gets JSON, and who gets a page: programs the one, browsers and preview robots the other."""

import re
from functools import lru_cache
from typing import Any

from django.http import HttpRequest
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

_HTML = {("text", "html"), ("application", "xhtml+xml")}
_JSON = {("application", "json"), ("application", "*"), ("*", "*")}
#: Robots that fetch a link because somebody pasted it; they must never open a share.
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
#: Anything else that calls itself a bot is a robot unless it asks for JSON by name.
_BOT = re.compile(r"bot\b", re.IGNORECASE)


def prefers_html(request: HttpRequest) -> bool:
    """Return whether the Accept header asks for HTML before JSON (`*/*` and none do not)."""
    if "html" not in request.META.get("HTTP_ACCEPT", "").lower():
        return False
    try:
        accepted_types = request.accepted_types  # by quality, the more specific first
    except ValueError:  # RFC 2231 with a charset that nobody knows
        return False
    kinds = ((each.main_type.lower(), each.sub_type.lower()) for each in accepted_types)
    return next((kind in _HTML for kind in kinds if kind in _HTML | _JSON), False)


def is_preview_robot(request: HttpRequest) -> bool:
    """Return whether a chat, a mail gateway or a search engine looks at the link."""
    named, likely = _robot(request.META.get("HTTP_USER_AGENT", ""))
    return named or (likely and "json" not in request.META.get("HTTP_ACCEPT", ""))


@lru_cache(maxsize=1024)  # a client says the same each time, and dozens of patterns take their time
def _robot(agent: str) -> tuple[bool, bool]:
    """Return whether `agent` is a known robot, and whether it calls itself a bot."""
    return bool(_PREVIEW_ROBOTS.search(agent)), bool(_BOT.search(agent))


def wants_page(request: HttpRequest) -> bool:
    """Return whether the share page is the right answer to a GET of the API's address."""
    return prefers_html(request) or is_preview_robot(request)


class JsonOnly(BaseContentNegotiation):
    """DRF's negotiation where there is nothing to negotiate: JSON in, JSON out."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        """Return the parser for the body's media type."""
        content_type = request.content_type or ""
        return next((p for p in parsers if media_type_matches(p.media_type, content_type)), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the JSON renderer, whatever Accept says."""
        return renderers[0], renderers[0].media_type

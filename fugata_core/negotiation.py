"""Content negotiation: JSON for programs, pages for people."""

from typing import Any

from django.http import HttpRequest
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

_HTML = {("text", "html"), ("application", "xhtml+xml")}
_JSON = {("application", "json"), ("application", "*"), ("*", "*")}


def prefers_html(request: HttpRequest) -> bool:
    """Return whether the Accept header asks for HTML before JSON; `*/*` does not, nor does none."""
    if "html" not in request.META.get("HTTP_ACCEPT", "").lower():
        return False
    try:
        accepted_types = request.accepted_types  # by quality, the more specific first
    except ValueError:  # RFC 2231 with an unknown charset
        return False
    kinds = ((each.main_type.lower(), each.sub_type.lower()) for each in accepted_types)
    return next((kind in _HTML for kind in kinds if kind in _HTML | _JSON), False)


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

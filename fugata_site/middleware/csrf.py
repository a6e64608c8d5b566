"""CSRF protection for pages that send no referrer.

Under `Referrer-Policy: no-referrer` a browser sends `Origin: null` with the forms of our own pages
(Fetch, "append a request Origin header"), which Django takes for another site's.
"""

import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware

_COOKIE = re.compile(r"[0-9A-Za-z]{32}|[0-9A-Za-z]{64}")


def has_cookie(request: HttpRequest) -> bool:
    """Return whether there is a well-formed cookie that a form's token can be compared with."""
    if getattr(request, "_dont_enforce_csrf_checks", False):  # Django's test client
        return True
    return bool(_COOKIE.fullmatch(request.COOKIES.get(settings.CSRF_COOKIE_NAME, "")))


class PageCsrfMiddleware(CsrfViewMiddleware):
    """Django's check, except that `Origin: null` alone does not count as another site.

    The token is always compared. Where the browser sends Sec-Fetch-Site (over HTTPS all
    do), a form of a sandboxed frame or of another site is refused by it.
    """

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseForbidden | None:
        """Skip methods that no page allows: the page responds with 405."""
        if request.method not in ("GET", "HEAD", "POST"):
            return None
        return super().process_view(request, view, args, kwargs)

    def _origin_verified(self, request: HttpRequest) -> bool:
        if request.META.get("HTTP_ORIGIN") == "null":
            site: str = request.META.get("HTTP_SEC_FETCH_SITE", "same-origin")
            return site == "same-origin"
        return super()._origin_verified(request)  # type: ignore[misc, no-any-return]

"""The WSGI application that gunicorn serves."""

import os
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_header_parameters

from fugata_core.postgresql.base import limit_answers
from fugata_core.requests import FugataRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")


class Request(FugataRequest, WSGIRequest):
    """A request whose Content-Type can neither raise nor choose its charset, which is UTF-8."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            header = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:  # RFC 2231 with an unknown charset
            header = ("", {})
        self.content_type, self.content_params = header


class Handler(WSGIHandler):
    """Django's handler of such requests."""

    request_class = Request

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response; for a HEAD only its headers, or gunicorn warns of each body."""
        response = super().get_response(request)
        if request.method == "HEAD" and isinstance(response, HttpResponse):
            _leave_out_content(response)
        return response


def _leave_out_content(response: HttpResponse) -> None:
    """Say how long GET's content is, or nothing where it was not made (RFC 9110, section 8.6)."""
    if response.content:
        response.headers["Content-Length"] = str(len(response.content))
        response.content = b""
    else:
        response.headers.pop("Content-Length", None)


django.setup(set_prefix=False)
limit_answers(settings.DATABASE_TIMEOUT)
application = Handler()

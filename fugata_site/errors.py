"""The one place that turns errors into responses: `{"error": …}` for clients, a page for people."""

import logging
from typing import Any

from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import pluralize
from rest_framework import exceptions

from fugata_core import failing_requests, routes
from fugata_core.database_failures import database_failure
from fugata_core.errors import (
    BadRequest,
    DatabaseRefused,
    DatabaseUnavailable,
    Forbidden,
    FugataError,
    InternalError,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    RowLocked,
    UnknownHost,
    UnsupportedMediaType,
)
from fugata_core.negotiation import prefers_html
from fugata_core.views import refusal_page_for

logger = logging.getLogger(__name__)


def api_exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Return the response to an exception in an API view (DRF's EXCEPTION_HANDLER)."""
    request = context["request"]._request
    if isinstance(error, exceptions.MethodNotAllowed):
        allowed = ", ".join(context["view"].allowed_methods)
        return error_response(request, MethodNotAllowed(allowed=allowed))
    failure = getattr(context["view"], "failure", InternalError.sentence)
    return error_response(request, to_fugata_error(error, failure))


def to_fugata_error(error: Exception, failure: str = InternalError.sentence) -> FugataError:
    """Return the domain error that `error` stands for; log unexpected errors."""
    match error:
        case FugataError():
            return error
        case DatabaseError() | InterfaceError():
            return database_failure(error, failure)
        case PermissionDenied():
            return Forbidden()
        case exceptions.UnsupportedMediaType():
            return UnsupportedMediaType()
        case exceptions.ParseError():
            return MalformedJson()
    logger.error("a request failed", exc_info=error)
    return InternalError(failure)


def error_response(request: HttpRequest, error: FugataError) -> HttpResponse:
    """Return the response to `error`: the view's own page, else a page for people or JSON."""
    failing_requests.note_error(request, error)
    page = refusal_page_for(request)
    shown = page(request, error) if page else None
    return shown or _default_response(request, error)


def _default_response(request: HttpRequest, error: FugataError) -> HttpResponse:
    if _is_for_people(request):
        context = {
            "title": error.title,
            "sentence": error.for_people or error.sentence,
            "wait": _wait(error),
            "again": "Retry-After" in error.headers and _can_be_loaded(request),
        }
        response = render(request, _template_for(request, error), context, status=error.status)
    else:
        response = JsonResponse({"error": error.sentence}, status=error.status)
    for name, value in error.headers.items():
        response.headers[name] = value
    response.headers["Content-Length"] = str(len(response.content))
    return response


def _wait(error: FugataError) -> str:
    """Return how long to wait, as people say it: in minutes, from two on."""
    if "Retry-After" not in error.headers:
        return ""
    seconds = int(error.headers["Retry-After"])
    count, unit = (-(-seconds // 60), "minute") if seconds >= 120 else (seconds, "second")
    return f"{count} {unit}{pluralize(count)}"


def _template_for(request: HttpRequest, error: FugataError) -> str:
    """Return a page's template: the console's own asks the database who is signed in."""
    has_database = not isinstance(error, DatabaseUnavailable | DatabaseRefused | RowLocked)
    is_console = routes.is_console(request.path_info)
    return "admin/message.html" if is_console and has_database else "message.html"


def _can_be_loaded(request: HttpRequest) -> bool:
    """Return whether the address is a page's; some take forms only."""
    match = request.resolver_match
    return request.method == "GET" or (match is not None and match.view_name == "pages:share")


def _is_for_people(request: HttpRequest) -> bool:
    path = request.path_info
    return routes.is_page(path) or (not routes.is_api(path) and prefers_html(request))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response to what Django refuses: an unknown Host, too many form fields."""
    return error_response(
        request, UnknownHost() if isinstance(exception, DisallowedHost) else BadRequest()
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response to a forbidden request."""
    return error_response(request, Forbidden())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return the response to an unknown path."""
    return error_response(request, NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the response to an error outside every view."""
    return error_response(request, InternalError())

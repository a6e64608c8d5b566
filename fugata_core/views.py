"""Attributes of a view that are needed before it is called, or before its body is read."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from fugata_core.errors import FugataError
from fugata_core.forms import MULTIPART, URLENCODED
from fugata_core.requests import FugataRequest

#: Raises the error that refuses a request; or returns a response instead of the view's, or None.
Permission = Callable[[FugataRequest], HttpResponse | None]
#: Returns the page that shows why a request was refused, or None for the usual one.
RefusalPage = Callable[[HttpRequest, FugataError], HttpResponse | None]

#: Maximum bytes of a body that holds no secret: a sign-in, an opening, a deletion.
SMALL_BODY = 64 * 1024

V = TypeVar("V", bound=Callable[..., Any])


def requires(permission: Permission) -> Callable[[V], V]:
    """Check `permission` before the view runs, and in a middleware before the body is read.

    The middleware marks what it let through as `permitted`; without it the view asks by itself.
    """

    def decorate(view: V) -> V:
        @wraps(view)
        def checked(request: FugataRequest, *args: Any, **kwargs: Any) -> Any:
            replacement = None if getattr(request, "permitted", False) else permission(request)
            return view(request, *args, **kwargs) if replacement is None else replacement

        setattr(checked, "permission", permission)  # noqa: B010  # functions have no such attribute
        return cast(V, checked)

    return decorate


def refusal_page(page: RefusalPage) -> Callable[[V], V]:
    """Have `page` show why a request to this view was refused, wherever that was decided."""

    def mark(view: V) -> V:
        setattr(view, "refusal_page", page)  # noqa: B010
        return view

    return mark


def carries_secret(view: V) -> V:
    """Let a body of this view be as large as the largest secret needs (else `SMALL_BODY`)."""
    setattr(view, "carries_secret", True)  # noqa: B010
    return view


def leads_nowhere(request: HttpRequest) -> bool:
    """Return whether the path has no view, so that the response is a 404."""
    return _view_for(request) is None


def permission_for(request: HttpRequest) -> Permission | None:
    """Return the permission that the view of `request` requires, if any."""
    return getattr(_view_for(request), "permission", None)


def refusal_page_for(request: HttpRequest) -> RefusalPage | None:
    """Return the refusal page of the view of `request`, if it has one of its own."""
    return getattr(_view_for(request), "refusal_page", None)


def max_body(request: HttpRequest) -> int:
    """Return how many bytes the body of `request` may have."""
    carries = getattr(_view_for(request), "carries_secret", False)
    return settings.MAX_BODY_SIZE if carries else SMALL_BODY


def needs_body(request: HttpRequest) -> bool:
    """Return whether the view of `request` looks at its body, as far as the head shows that.

    Where it does not, it gives the response without: 401, 404, 405 or 415.
    """
    view = _view_for(request)
    if view is None or request.method != "POST":
        return False
    viewset = getattr(view, "cls", None)
    if viewset is None:
        allowed = getattr(view, "methods", ("POST",))
        return "POST" in allowed and request.content_type in (URLENCODED, MULTIPART)
    accepted = any(parser.accepts(request) for parser in viewset.parser_classes)
    return accepted and "post" in getattr(view, "actions", ())


def _view_for(request: HttpRequest) -> object:
    if request.resolver_match:  # Django has called the view, or is about to
        return request.resolver_match.func
    try:
        return resolve(request.path_info).func
    except Resolver404:
        return None

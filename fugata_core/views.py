"""Attributes of a view that are needed before it is called: its permission, its refusal page."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from fugata_core.errors import FugataError
from fugata_core.requests import FugataRequest

#: Raises the error that refuses a request; or returns a response instead of the view's, or None.
Permission = Callable[[FugataRequest], HttpResponse | None]
#: Returns the page that shows why a request was refused, or None for the usual one.
RefusalPage = Callable[[HttpRequest, FugataError], HttpResponse | None]

V = TypeVar("V", bound=Callable[..., Any])


def requires(permission: Permission) -> Callable[[V], V]:
    """Have `permission` checked before the body of a request to this view is read."""

    def mark(view: V) -> V:
        setattr(view, "permission", permission)  # noqa: B010  # functions have no such attribute
        return view

    return mark


def refused_by(page: RefusalPage) -> Callable[[V], V]:
    """Have `page` show why a request to this view was refused, wherever that was decided."""

    def mark(view: V) -> V:
        setattr(view, "refusal_page", page)  # noqa: B010
        return view

    return mark


def permission_at(path: str) -> Permission | None:
    """Return the permission that the view at `path` requires, if any."""
    return getattr(_view_at(path), "permission", None)


def refusal_page_at(path: str) -> RefusalPage | None:
    """Return the refusal page of the view at `path`, if it has one of its own."""
    return getattr(_view_at(path), "refusal_page", None)


def _view_at(path: str) -> object:
    try:
        return resolve(path).func
    except Resolver404:
        return None

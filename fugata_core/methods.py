"""Which HTTP methods a page allows."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.http import HttpRequest, HttpResponse

from fugata_core.errors import MethodNotAllowed

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def allow_methods(*methods: str) -> Callable[[View[P]], View[P]]:
    """Raise MethodNotAllowed for every other method."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def checked(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method not in methods:
                raise MethodNotAllowed(allowed=", ".join(methods))
            return view(request, *args, **kwargs)

        setattr(checked, "methods", methods)  # noqa: B010  # functions have no such attribute
        return cast(View[P], checked)

    return decorate

"""/openapi.json and /docs: what fugata_openapi.document gathers, for programs and for people."""

import hashlib
import json
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import condition

from fugata_core.methods import allow_methods
from fugata_core.responses import JSON

if TYPE_CHECKING:
    from fugata_openapi.describe import OpenApiObject

# drf-spectacular swaps the classes of views while it inspects them: one thread at a time.
_inspection_lock = threading.Lock()


@cache
def _found() -> "OpenApiObject":
    from fugata_openapi.document import description  # large, and most processes never need it

    return description()


@cache
def _document() -> tuple[bytes, str]:
    text = json.dumps(_found(), ensure_ascii=False).encode()
    return text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'


@cache
def _chapters() -> "list[OpenApiObject]":
    from fugata_openapi.chapters import chapters

    return chapters(_found())


def document() -> tuple[bytes, str]:
    """Return the description as JSON, built once per process, and its entity tag."""
    with _inspection_lock:
        return _document()


def _clear_caches(**_: Any) -> None:
    for made in (_found, _document, _chapters):
        made.cache_clear()


setting_changed.connect(_clear_caches)  # tests change settings


@allow_methods("GET", "HEAD")
@condition(etag_func=lambda request: document()[1])
def openapi(request: HttpRequest) -> HttpResponse:
    """Serve /openapi.json: it is not secret, and may be cached."""
    response = HttpResponse(document()[0], content_type=JSON)
    response.headers["Cache-Control"] = "public, max-age=300"
    return response


@allow_methods("GET", "HEAD")
def docs(request: HttpRequest) -> HttpResponse:
    """Serve /docs: the same as a page, without JavaScript."""
    with _inspection_lock:
        chapters = _chapters()
    return render(request, "docs.html", {"chapters": chapters})

"""The floor's one view, and a readiness check."""

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from benchmarks.floor.models import Note


def create(request: HttpRequest) -> JsonResponse:
    """Parse the JSON body and insert one row."""
    body = json.loads(request.body)
    note = Note.objects.create(
        content=body["content"],
        duration=body["duration"],
        one_time=body["one_time"],
        metadata=body["metadata"],
    )
    return JsonResponse({"id": note.pk}, status=201)


def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200: the workers are up."""
    return HttpResponse("ok")


urlpatterns = [path("secrets", create), path("ready", ready)]

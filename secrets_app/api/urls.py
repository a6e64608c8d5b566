"""The URLs of the sharing API."""

from django.urls import path

from fugata_core.views import requires
from secrets_app.api.views import ShareViewSet
from secrets_app.creation import may_create_by_api

_create = requires(may_create_by_api)
urlpatterns = [
    path("secrets", _create(ShareViewSet.as_view({"post": "create"})), name="shares"),
    path(
        "secrets/<str:share_id>",
        ShareViewSet.as_view({"get": "retrieve", "head": "exists", "delete": "destroy"}),
        name="share",
    ),
]

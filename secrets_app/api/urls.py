"""The URLs of the sharing API."""

from django.urls import path

from fugata_core.routes import SHARES_API
from fugata_core.views import requires
from secrets_app.api.views import ShareViewSet
from secrets_app.permissions import require_api_creation

_create = requires(require_api_creation)
urlpatterns = [
    path(SHARES_API[1:], _create(ShareViewSet.as_view({"post": "create"})), name="shares"),
    path(
        f"{SHARES_API[1:]}/<str:share_id>",
        ShareViewSet.as_view({"get": "retrieve", "head": "exists", "delete": "destroy"}),
        name="share",
    ),
]

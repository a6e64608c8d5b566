"""The URLs of the sharing API."""

from django.urls import path

from fugata_core.routes import SHARES_API
from fugata_core.views import carries_secret, requires
from secrets_app.api.views import ShareViewSet
from secrets_app.permissions import require_api_creation

_create = requires(require_api_creation)(carries_secret(ShareViewSet.as_view({"post": "create"})))
urlpatterns = [
    path(SHARES_API[1:], _create, name="shares"),
    path(
        f"{SHARES_API[1:]}/<str:share_id>",
        ShareViewSet.as_view({"get": "retrieve", "head": "exists", "delete": "destroy"}),
        name="share",
    ),
]

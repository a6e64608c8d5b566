"""The API's addresses."""

from django.urls import path

from secrets_app.api.views import ShareViewSet

urlpatterns = [
    path("secrets", ShareViewSet.as_view({"post": "create"}), name="shares"),
    path(
        "secrets/<str:share_id>",
        ShareViewSet.as_view({"get": "retrieve", "head": "exists", "delete": "destroy"}),
        name="share",
    ),
]

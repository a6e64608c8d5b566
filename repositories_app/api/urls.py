"""The URLs of the repositories API.

Names are checked after authentication: an invalid one is a 404 to authenticated callers.
"""

from django.urls import path

from fugata_core.routes import REPOSITORIES_API
from fugata_core.views import carries_secret
from repositories_app.api.views import SecretViewSet

urlpatterns = [
    path(
        f"{REPOSITORIES_API[1:]}/<str:repository>/secrets",
        carries_secret(SecretViewSet.as_view({"get": "list", "head": "list", "post": "set"})),
        name="repository-secrets",
    ),
    path(
        f"{REPOSITORIES_API[1:]}/<str:repository>/secrets/<path:secret_key>",
        SecretViewSet.as_view({"get": "retrieve", "head": "exists", "delete": "destroy"}),
        name="repository-secret",
    ),
]

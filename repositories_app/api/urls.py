"""The repositories API's addresses.

Names are checked behind the token: a wrong one is a 404 for those who may ask at all.
"""

from django.urls import path

from repositories_app.api.views import SecretViewSet

urlpatterns = [
    path(
        "repositories/<str:repository>/secrets",
        SecretViewSet.as_view({"get": "list", "head": "list", "post": "set"}),
        name="repository-secrets",
    ),
    path(
        "repositories/<str:repository>/secrets/<path:secret_key>",
        SecretViewSet.as_view({"get": "retrieve", "head": "exists", "delete": "destroy"}),
        name="repository-secret",
    ),
]

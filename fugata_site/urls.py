"""The URL patterns. Probes are answered by HealthMiddleware, before these."""

from django.urls import URLResolver, include, path
from django.urls.resolvers import RoutePattern
from django.views.generic import RedirectView

from fugata_core import routes
from fugata_openapi import views
from fugata_site import errors


class LazyResolver(URLResolver):
    """URLs of a namespace, whose module is imported when one of them is requested."""

    def _populate(self) -> None:
        """Skip what Django precomputes for names outside of a namespace: there are none here."""


urlpatterns = [
    path("", include("secrets_app.api.urls")),
    path("", include("repositories_app.api.urls")),
    path("", include("secrets_app.pages.urls")),
    path(routes.OPENAPI[1:], views.openapi, name="openapi"),
    path(routes.DOCS[1:], views.docs, name="docs"),
    path(routes.CONSOLE.strip("/"), RedirectView.as_view(pattern_name="admin:index")),
    LazyResolver(
        RoutePattern(routes.CONSOLE[1:]), "operations_app.console.urls", None, "admin", "admin"
    ),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error

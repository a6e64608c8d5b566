"""Which address leads where. /healthz and /livez are answered by HealthMiddleware, before these."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from fugata_site import errors, openapi

urlpatterns = [
    path("", include("secrets_app.api.urls")),
    path("", include("repositories_app.api.urls")),
    path("", include("secrets_app.pages.urls")),
    path("openapi.json", openapi.openapi, name="openapi"),
    path("docs", openapi.docs, name="docs"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error

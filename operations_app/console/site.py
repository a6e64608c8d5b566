"""The console's site: Django's, with a counted sign-in and three pages of our own."""

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.cache import patch_cache_control

from audit_app.actors import Actor
from fugata_core import routes
from fugata_core.errors import MethodNotAllowed
from operations_app.console.dashboard import dashboard
from operations_app.console.own_password import counted_change
from operations_app.console.signin import CountedSignInForm
from operations_app.diagnostics.checks import run_checks
from secrets_app.actions.purge import count_expired, purge_now

#: Who sees the numbers and the diagnosis: users who may look at all that these are about.
OVERVIEW_PERMISSIONS = ("secrets_app.view_share", "audit_app.view_auditevent")
PURGE_PERMISSION = "secrets_app.purge_share"
#: Seconds that a purge may keep its operator waiting; beat's purge does the rest.
PURGE_SECONDS = 10.0


class FugataAdminSite(AdminSite):
    """`/admin/`: the dashboard first, then what Django lists."""

    site_title = "Fugata"
    site_header = "Fugata"
    index_title = "Overview"
    index_template = "admin/overview.html"
    login_form = CountedSignInForm
    login_template = "admin/sign_in.html"

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Return our URLs, then Django's, whose last one catches all."""
        own: list[URLResolver | URLPattern] = [
            path("health/", self.admin_view(self.health), name="health"),
            path("purge/", self.admin_view(self.purge), name="purge"),
        ]
        return own + super().get_urls()

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Return the overview, with the dashboard for users who may see what it counts."""
        context: dict[str, Any] = {"may_purge": request.user.has_perm(PURGE_PERMISSION)}
        if request.user.has_perms(OVERVIEW_PERMISSIONS):
            context |= {"dashboard": dashboard(), "diagnosis": run_checks()}
        return super().index(request, context | (extra_context or {}))

    def health(self, request: HttpRequest) -> HttpResponse:
        """Return the page that says what is wrong, and what to do about it."""
        if not request.user.has_perms(OVERVIEW_PERMISSIONS):
            raise PermissionDenied
        context = {
            **self.each_context(request),
            "title": "What is wrong",
            "diagnosis": run_checks(),
            "may_purge": request.user.has_perm(PURGE_PERMISSION),
        }
        return TemplateResponse(request, "admin/health.html", context)

    def purge(self, request: HttpRequest) -> HttpResponse:
        """POST: purge expired shares now."""
        if not request.user.has_perm(PURGE_PERMISSION):
            raise PermissionDenied
        if request.method != "POST":
            raise MethodNotAllowed(allowed="POST")
        purged = purge_now(Actor.from_session(request), PURGE_SECONDS)
        waiting = count_expired()
        left = f" {waiting} still wait." if waiting else ""
        messages.success(request, f"{purged} expired shares were purged.{left}")
        return HttpResponseRedirect(reverse("admin:index", current_app=self.name))

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the page that signs in, here or to create shares; who may do so goes there."""
        wanted = request.POST.get("next", request.GET.get("next"))
        to_create = settings.CREATE_REQUIRES_LOGIN and wanted == routes.NEW_SHARE
        if to_create and request.method == "GET" and request.user.is_authenticated:
            return HttpResponseRedirect(routes.NEW_SHARE)
        return super().login(request, {"to_create": to_create} | (extra_context or {}))

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show the form for one's own password, or set it."""
        shown = partial(super().password_change, request, extra_context)
        return counted_change(request, shown) if request.method == "POST" else shown()

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """POST: end the session."""
        if request.method != "POST":
            raise MethodNotAllowed(allowed="POST")
        return super().logout(request, extra_context)

    def i18n_javascript(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Return the translations for scripts, cacheable because each list requests them."""
        response = super().i18n_javascript(request, extra_context)
        patch_cache_control(response, private=True, max_age=3600)
        return response

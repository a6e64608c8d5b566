"""Adding objects through an action: our own form within the admin's page layout."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from fugata_core.admin.read_only import ReadOnlyAdmin
from fugata_core.errors import BadRequest


class ActionFormAdmin(ReadOnlyAdmin):
    """A model whose rows an action creates; a subclass sets the form and calls the action."""

    form_class: type[forms.Form]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may add one."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def make(self, request: HttpRequest, form: Any) -> HttpResponse:
        """Create what the valid form asks for and return the response. Raises BadRequest."""
        raise NotImplementedError

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form, or do what it asks for."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self.form_class(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                return self.make(request, form)
            except BadRequest as error:
                form.add_error(None, error.sentence)
        return self._form_page(request, form)

    def _form_page(self, request: HttpRequest, form: forms.Form) -> HttpResponse:
        fieldsets: Any = [(None, {"fields": list(form.fields)})]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Add {self.opts.verbose_name}",
            "opts": self.opts,
            "adminform": AdminForm(form, fieldsets, {}),  # type: ignore[arg-type]
        }
        return TemplateResponse(request, "admin/adding.html", context)

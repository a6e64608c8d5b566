"""The base of all our admin pages: they show only what is listed, and change nothing except through
actions that ask for confirmation and then call the one function for that change.
"""

from typing import Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from django.utils.text import capfirst

from fugata_core.admin.lists import ListAdmin

#: Maximum number of rows that a list counts and its page numbers reach.
MAX_COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts at most MAX_COUNTED rows, so that a page stays fast; filters reach the rows beyond."""

    @cached_property
    def count(self) -> int:
        """The number of rows, MAX_COUNTED at most."""
        rows = cast(QuerySet[Any], self.object_list)
        return len(rows[:MAX_COUNTED].values_list("pk"))


class ReadOnlyAdmin(ListAdmin):
    """A read-only admin. What is not listed in `fields` and `list_display` is never shown."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 50
    change_form_template = "admin/shown.html"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: the service creates the rows, not people."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: nobody edits a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: rows are deleted only by the action that knows what belongs to them."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, titled with the model's plural name."""
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one object, with a button for each action that may be done to it."""
        actions = self.get_actions(request) or {}
        context = {
            "object_actions": {name: one[2] for name, one in actions.items() if one},
            "show_save_and_add_another": False,
        }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

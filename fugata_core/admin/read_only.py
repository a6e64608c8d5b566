"""What all our admin pages have in common: they show what is listed, and change nothing but by
actions that ask first and then call the one function for that change.
"""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property
from django.utils.text import capfirst

#: How many rows a list counts, and leads to by page numbers.
COUNTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no more than COUNTED rows: a filter finds what lies deeper, and a page stays fast."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, as far as they are counted."""
        rows = cast(QuerySet[Any], self.object_list)
        return len(rows[:COUNTED].values_list("pk"))


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A model to look at. What is not listed in `fields` and `list_display` is never shown.

    `extra_lookups`: names that a list's address may filter by, besides its filters.
    """

    extra_lookups: Sequence[str] = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 50
    change_form_template = "admin/shown.html"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody adds by hand what the service makes."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a row past the action that knows what belongs to it."""
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow what is offered: any other would be a way to ask for columns not shown."""
        return lookup.removesuffix("__exact") in {
            *self.extra_lookups,
            *map(_name, self.list_filter),
        }

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, under the name of what it lists."""
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


def _name(list_filter: Any) -> str:
    """Return what a filter is called in an address: a field's name, or a filter's own."""
    return str(getattr(list_filter, "parameter_name", list_filter))

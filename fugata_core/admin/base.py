"""What all our admin pages have in common: they show what is listed, and change nothing but by
actions that ask first and then call the one function for that change.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.text import capfirst

from fugata_core.errors import FugataError

#: How many objects one press of a button acts on: a remote store may take its time for each.
MOST = 500
#: How many of them the page that asks first names.
NAMED = 20
#: How many rows a list counts, and leads to by page numbers.
COUNTED = 10_000


def short(digest: bytes | memoryview | None) -> str:
    """Return the beginning of a digest, by which lists and searches tell it from others."""
    return bytes(digest).hex()[:16] if digest else ""


def second(moment: datetime | None) -> str:
    """Return a moment as lists show it, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-"


def minute(moment: datetime | None) -> str:
    """Return a moment without its seconds."""
    return second(moment)[:16]


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no more than COUNTED rows: a filter finds what lies deeper, and a page stays fast."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, as far as they are counted."""
        rows = cast(QuerySet[Any], self.object_list)
        return len(rows[:COUNTED].values_list("pk"))


class ShownAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A model to look at. What is not listed in `fields` and `list_display` is never shown.

    `also_by`: names that a list's address may filter by, besides its filters.
    """

    also_by: Sequence[str] = ()
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
        return lookup.removesuffix("__exact") in {*self.also_by, *map(_name, self.list_filter)}

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


Act = Callable[[Any, HttpRequest, list[Any]], str]


def asks_first(
    description: str, permission: str, warning: str
) -> Callable[[Act], Callable[..., HttpResponse | None]]:
    """Make an admin action of a function that acts on objects and says what it did.

    `warning`: what the page that asks first says. An error of ours is told, not raised.
    """

    def decorate(act: Act) -> Callable[..., HttpResponse | None]:
        @admin.action(description=description, permissions=[permission])
        def action(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            chosen = list(queryset[:MOST])
            if "confirmed" not in request.POST:
                words = {"title": description, "warning": warning, "action": act.__name__}
                return _question(self, request, chosen, words)
            try:
                self.message_user(request, act(self, request, chosen), messages.SUCCESS)
            except FugataError as error:
                self.message_user(request, error.sentence, messages.ERROR)
            return None

        action.__name__, action.__doc__ = act.__name__, act.__doc__
        return action

    return decorate


def _question(
    model_admin: Any,
    request: HttpRequest,
    chosen: list[Any],
    words: dict[str, str],
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        **words,
        "opts": model_admin.opts,
        "chosen": chosen,
        "named": chosen[:NAMED],
        "more": max(len(chosen) - NAMED, 0),
        "at_most": MOST if len(chosen) == MOST else 0,
    }
    return TemplateResponse(request, "admin/confirm.html", context)

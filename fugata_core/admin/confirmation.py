"""Admin actions that ask for confirmation, then call the one function for that change."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from fugata_core.errors import FugataError

#: Maximum number of objects an action handles at once: a remote store may be slow for each.
MAX_CHOSEN = 500
#: How many of them the confirmation page names.
MAX_NAMED = 20

Act = Callable[[Any, HttpRequest, list[Any]], str]


def confirmed_action(
    description: str, permission: str, warning: str
) -> Callable[[Act], Callable[..., HttpResponse | None]]:
    """Make an admin action from a function that acts on objects and returns what it did.

    `warning`: the text of the confirmation page. A FugataError is shown to the user, not raised.
    """

    def decorate(act: Act) -> Callable[..., HttpResponse | None]:
        @admin.action(description=description, permissions=[permission])
        def action(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            chosen = list(queryset[:MAX_CHOSEN])
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
        "named": chosen[:MAX_NAMED],
        "more": max(len(chosen) - MAX_NAMED, 0),
        "at_most": MAX_CHOSEN if len(chosen) == MAX_CHOSEN else 0,
    }
    return TemplateResponse(request, "admin/confirm.html", context)

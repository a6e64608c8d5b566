"""What the address of a list may ask for: what the list itself offers, by whole names.

Django passes a lookup such as `password__regex` on to the database: who may read a list could guess
columns that no page shows, and a slow pattern would hold a thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from django.contrib.admin import helpers
from django.contrib.admin.filters import FieldListFilter, ListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from fugata_core.admin.search import BoundedSearch
from fugata_core.errors import BadRequest

#: Maximum number of characters of a parameter; a search is bounded by its words.
MAX_VALUE = 500

_OF_EVERY_LIST = dict.fromkeys((ALL_VAR, ORDER_VAR, PAGE_VAR, SEARCH_VAR))
_REMEDY = "Open the list again, and choose from the filters that are beside it."
_UNKNOWN = f"The list has no filter of a name that is in this address. {_REMEDY}"
_WRONG_VALUE = f"A filter in this address has a value that it does not take. {_REMEDY}"
_NO_ROW = "What was chosen is no row of the list. Open the list again, and choose from its rows."

#: The values that a parameter may have, by its name; None: any short text.
Offer = Mapping[str, set[str] | None]


class _Recorder:
    """Stands in for a list, and keeps what filters write into their links."""

    add_facets = False

    def __init__(self) -> None:
        self.written: dict[str, set[str]] = {}

    def get_query_string(
        self, new: Mapping[str, object] | None = None, *_: object, **__: object
    ) -> str:
        """Note the parameters of a link."""
        for name, value in (new or {}).items():
            if value is not None:
                self.written.setdefault(name, set()).add(str(value))
        return ""


class ForgivingPages(ChangeList):
    """A list whose page is gone, as rows were deleted for instance, shows its first page."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page."""
        try:
            super().get_results(request)
        except IncorrectLookupParameters:
            self.page_num = 1
            super().get_results(request)


class ListAdmin(BoundedSearch):
    """The base of every page of the console that lists a model.

    `extra_lookups`: names that a list's URL may filter by, besides what its filters write.
    """

    extra_lookups: Sequence[str] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return ForgivingPages

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list that was asked for. Raises BadRequest."""
        _refuse_others(request, {**self._offer(request), **_OF_EVERY_LIST})
        try:
            return super().get_changelist_instance(request)
        except (IncorrectLookupParameters, OverflowError):  # a moment that no database knows
            raise BadRequest(_WRONG_VALUE) from None

    def response_action(  # type: ignore[override]  # Django's third argument is gone
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Do what is asked for with the rows that were chosen. Raises BadRequest."""
        for key in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.clean(key, None)
            except ValidationError:
                raise BadRequest(_NO_ROW) from None
        return super().response_action(request, queryset)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        """Return the object with that id; None if there is none."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether the list offers a lookup: Django asks before it applies one."""
        return request is not None and lookup in self._offer(request)

    def _offer(self, request: HttpRequest) -> Offer:
        """Return what the filters write now, and the extra lookups."""
        recorder = _Recorder()
        for each in self._filters(request):
            if each.has_output():
                list(each.choices(cast(ChangeList, recorder)))
        return {**dict.fromkeys(self.extra_lookups), **recorder.written}

    def _filters(self, request: HttpRequest) -> Iterator[ListFilter]:
        """Yield the list's filters with nothing chosen, made as Django makes them."""
        for each in self.get_list_filter(request):
            if callable(each):
                yield each(request, {}, self.model, self)
                continue
            path, make = each if isinstance(each, tuple) else (each, FieldListFilter.create)
            path = cast(str, path)
            field = get_fields_from_path(self.model, path)[-1]
            yield make(field, request, {}, self.model, self, field_path=path)


def _refuse_others(request: HttpRequest, offer: Offer) -> None:
    """Raise BadRequest for a parameter that is not on offer, or not with this value."""
    for name, values in request.GET.lists():
        if name not in offer:
            raise BadRequest(_UNKNOWN)
        if name != SEARCH_VAR and not _fits(values, offer[name]):
            raise BadRequest(_WRONG_VALUE)


def _fits(values: list[str], known: set[str] | None) -> bool:
    if known is not None:
        return len(values) == 1 and values[0] in known
    return len(values) == 1 and len(values[0]) <= MAX_VALUE and "\0" not in values[0]

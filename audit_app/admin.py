"""The trail in the console: to read, filter and search, and never to change."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

from audit_app.models import AuditEvent
from fugata_core.admin.formats import digest_prefix, to_the_second
from fugata_core.admin.read_only import ReadOnlyAdmin
from fugata_core.admin.search import digest_range
from fugata_core.clock import now
from fugata_core.tokens import ACCESS_TOKEN, SHOWN_OF_TOKEN, asks_for_secret

SPANS = {
    "hour": ("The last hour", timedelta(hours=1)),
    "day": ("The last 24 hours", timedelta(days=1)),
    "week": ("The last 7 days", timedelta(days=7)),
    "month": ("The last 30 days", timedelta(days=30)),
    "all": ("Any time", None),
}
DEFAULT = "week"


class TimeFilter(admin.ListFilter):
    """A span of time that ends now, or one between two moments.

    The default is a week: that much is read quickly, however long the trail is.
    """

    title = "time"
    template = "admin/time_filter.html"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        taken = {
            name: params.pop(name)[-1] for name in self.expected_parameters() if name in params
        }
        self.since, self.until = taken.get("from", ""), taken.get("to", "")
        between = self.since or self.until
        self.span = taken.get("span", "" if between else DEFAULT)
        self.others = {name: values[-1] for name, values in params.items()}

    def has_output(self) -> bool:
        """Return True: the filter is always offered."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """Return the names of this filter's query parameters."""
        return ["span", "from", "to"]

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Yield the spans on offer."""
        for name, (title, _) in SPANS.items():
            address = changelist.get_query_string({"span": name}, ["from", "to"])
            yield {"selected": name == self.span, "query_string": address, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[AuditEvent]:
        """Return the events in that span."""
        if self.span:
            length = SPANS.get(self.span, SPANS[DEFAULT])[1]
            return queryset.filter(at__gte=now() - length) if length else queryset
        queryset = queryset.filter(at__gte=_moment(self.since)) if self.since else queryset
        return queryset.filter(at__lte=_moment(self.until)) if self.until else queryset


def _moment(text: str) -> datetime:
    """Return the moment that a browser's field wrote, in UTC unless it has an offset."""
    try:
        moment = parse_datetime(text)
    except ValueError as error:
        raise IncorrectLookupParameters from error
    if moment is None:
        raise IncorrectLookupParameters
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what, when, in which request."""

    list_display = ("moment", "kind", "who", "about", "subject")
    list_display_links = ("moment",)
    list_filter = (TimeFilter, "kind")
    extra_lookups = ("username", "repository", "token", "request_id", "span", "from", "to")
    ordering = ("-at", "-id")
    sortable_by = ()
    search_fields = ("request_id",)
    search_help_text = (
        "A share's digest (8 hex digits or more), a repository, key, user, token or its beginning,"
        " or request id"
    )
    fields = (
        "moment",
        "kind",
        "who",
        "token",
        "client",
        "share",
        "repository",
        "secret_key",
        "subject",
        "request_id",
    )
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Search by whole names, or the beginning of a share's digest or of a token."""
        if not search_term:
            return queryset, False
        if search_term.startswith(ACCESS_TOKEN):  # it may be pasted whole
            return queryset.filter(_of_token(search_term[:SHOWN_OF_TOKEN])), False
        if asks_for_secret(search_term):
            return queryset.none(), False
        names = ("username", "repository", "secret_key", "token", "request_id")
        found = Q(subject__icontains=search_term) | digest_range("share_digest", search_term)
        for name in names:
            found |= Q(**{name: search_term})
        return queryset.filter(found), False

    @admin.display(description="at (UTC)")
    def moment(self, event: AuditEvent) -> str:
        """Return when it happened."""
        return to_the_second(event.at)

    @admin.display(description="who")
    def who(self, event: AuditEvent) -> str:
        """Return the user, else what stands for the client's address, else the service."""
        return event.username or self.client(event) or "the service"

    @admin.display(description="client")
    def client(self, event: AuditEvent) -> str:
        """Return what stands for the client's address: a part of its keyed hash."""
        return f"client {digest_prefix(event.address_hash)[:8]}" if event.address_hash else ""

    @admin.display(description="about")
    def about(self, event: AuditEvent) -> str:
        """Return the share, by its digest, or the repository and key."""
        place = "/".join(filter(None, (event.repository, event.secret_key)))
        return place or digest_prefix(event.share_digest)

    @admin.display(description="share")
    def share(self, event: AuditEvent) -> str:
        """Return the digest that shares are searched by."""
        return digest_prefix(event.share_digest)


def _of_token(beginning: str) -> Q:
    """Return the condition for what an access token did, and what was done to it."""
    return Q(token=beginning) | Q(subject__contains=beginning)

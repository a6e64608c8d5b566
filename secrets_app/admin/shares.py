"""Shares in the console: what can be known about them without their links."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat, truncatechars
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit_app.actors import Actor
from fugata_core.admin.confirmation import confirmed_action
from fugata_core.admin.formats import digest_prefix, to_the_minute, values_left
from fugata_core.admin.read_only import ReadOnlyAdmin
from fugata_core.admin.search import digest_range
from fugata_core.clock import now
from fugata_core.tokens import asks_for_secret, cut_secrets
from secrets_app.actions.delete import revoke_shares
from secrets_app.models import Share


class StateFilter(admin.SimpleListFilter):
    """Filter by live, or expired and waiting to be purged."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two states."""
        return [("live", "Live"), ("expired", "Waits for the purge")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Share] | None:
        """Return the shares in the chosen state."""
        named = {"live": Share.objects.live, "expired": Share.objects.expired}
        chosen = named.get(self.value() or "")
        return queryset & chosen() if chosen else None


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    """A list without content, id, link or token; revoking deletes."""

    list_display = (
        "digest_begins",
        "state",
        "short_label",
        "content_size",
        "created",
        "expires",
        "once",
    )
    list_filter = (StateFilter, "one_time")
    ordering = ("-id",)
    search_fields = ("label",)
    search_help_text = "The beginning of a share's digest (8 hex digits or more), or of a label"
    fields = (
        "digest_begins",
        "state",
        "whole_label",
        "content_size",
        "created",
        "expires",
        "once",
        "key",
        "what_happened",
    )
    readonly_fields = fields
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may delete shares without their deletion tokens."""
        return request.user.has_perm("secrets_app.revoke_share")

    @confirmed_action(
        "Revoke",
        "revoke",
        "They are deleted with what they hold. Their links open nothing from then on, and nobody"
        " can bring them back.",
    )
    def revoke(self, request: HttpRequest, chosen: list[Share]) -> str:
        """Delete the chosen shares that are live."""
        keys, actor = [share.pk for share in chosen], Actor.from_session(request)
        done = revoke_shares(keys, actor)
        text = f"{done.revoked} of {len(chosen)} shares revoked; the others were gone or expired."
        if done.locked:
            text = (
                f"{done.revoked} of {len(chosen)} shares revoked; {done.locked} are still live:"
                " another session of the database has locked some of them. Try again."
            )
        return text + values_left(done.values_left)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Share], search_term: str
    ) -> tuple[QuerySet[Share], bool]:
        """Search by the beginning of the digest, or of the label."""
        if not search_term:
            return queryset, False
        found = digest_range("digest", search_term)
        if not asks_for_secret(search_term):  # lists cut one in a label
            found |= Q(label__istartswith=search_term)
        return queryset.filter(found), False

    @admin.display(description="digest")
    def digest_begins(self, share: Share) -> str:
        """The beginning of the lookup digest, which is not the id."""
        return digest_prefix(share.digest)

    @admin.display(description="state")
    def state(self, share: Share) -> str:
        """Whether it can still be opened."""
        return "live" if share.expires_at > now() else "waits for the purge"

    @admin.display(description="label")
    def whole_label(self, share: Share) -> str:
        """The label, without ids and tokens: somebody may have pasted a link."""
        return cut_secrets(share.label or "-")

    @admin.display(description="label")
    def short_label(self, share: Share) -> str:
        """The label, cut short."""
        return truncatechars(self.whole_label(share), 60)

    @admin.display(description="size", ordering="size")
    def content_size(self, share: Share) -> str:
        """The size of the content."""
        return filesizeformat(share.size)

    @admin.display(description="created (UTC)", ordering="id")
    def created(self, share: Share) -> str:
        """When it was created."""
        return to_the_minute(share.created_at)

    @admin.display(description="expires (UTC)", ordering="expires_at")
    def expires(self, share: Share) -> str:
        """When it expires."""
        return to_the_minute(share.expires_at)

    @admin.display(description="once", boolean=True)
    def once(self, share: Share) -> bool:
        """Whether it can be opened only once."""
        return share.one_time

    @admin.display(description="what happened")
    def what_happened(self, share: Share) -> SafeString:
        """A link to its audit events."""
        events = reverse("admin:audit_app_auditevent_changelist")
        digest = bytes(share.digest).hex()
        return format_html('<a href="{}?span=all&amp;q={}">Its audit events</a>', events, digest)

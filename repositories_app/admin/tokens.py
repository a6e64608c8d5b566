"""Access tokens in the console: created, shown once, revoked, and never changed."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from audit_app.actors import Actor
from fugata_core.admin.action_form import ActionFormAdmin
from fugata_core.admin.confirmation import confirmed_action
from fugata_core.admin.formats import to_the_minute
from fugata_core.clock import now
from fugata_core.tokens import ACCESS_TOKEN, SHOWN_OF_TOKEN
from repositories_app.actions.tokens import create_access_token, revoke_access_tokens
from repositories_app.admin.forms import NewTokenForm
from repositories_app.models import AccessToken


@admin.register(AccessToken)
class AccessTokenAdmin(ActionFormAdmin):
    """Tokens by their first characters; only the holder knows the rest."""

    form_class = NewTokenForm
    list_display = ("begins", "user", "named", "token_state", "rights", "reach", "ends", "used")
    list_select_related = ("user",)
    list_filter = ("read_only",)
    extra_lookups = ("user__username",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("user__username__istartswith", "label__istartswith")
    search_help_text = "A token, or the beginning of one, of a user or of a label"
    fields = (
        "begins",
        "user",
        "named",
        "token_state",
        "rights",
        "reach",
        "created",
        "ends",
        "revoked",
        "used",
    )
    readonly_fields = fields
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may revoke tokens."""
        return request.user.has_perm("repositories_app.revoke_accesstoken")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        """Return tokens with the repositories they are narrowed to."""
        return super().get_queryset(request).defer("digest").prefetch_related("repositories")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AccessToken], search_term: str
    ) -> tuple[QuerySet[AccessToken], bool]:
        """Search by the part of a token that is shown, though it may be pasted whole."""
        if search_term.startswith(ACCESS_TOKEN):
            return queryset.filter(prefix__startswith=search_term[:SHOWN_OF_TOKEN]), False
        return super().get_search_results(request, queryset, search_term)

    def make(self, request: HttpRequest, form: NewTokenForm) -> HttpResponse:
        """Create a token and show it in this response, which is stored nowhere."""
        username = form.cleaned_data["user"].get_username()
        token, row = create_access_token(username, form.scope(), Actor.from_session(request))
        self.log_addition(request, row, "Added.")
        context = {
            **self.admin_site.each_context(request),
            "title": "The token is ready",
            "opts": self.opts,
            "token": token,
            "row": row,
        }
        return TemplateResponse(request, "admin/token_made.html", context)

    @confirmed_action(
        "Revoke",
        "revoke",
        "Whoever uses them gets a 401 from then on. A revoked token can't be used again.",
    )
    def revoke(self, request: HttpRequest, chosen: list[AccessToken]) -> str:
        """Revoke the chosen tokens that are not revoked yet."""
        count = revoke_access_tokens([row.pk for row in chosen], Actor.from_session(request))
        return f"{count} of {len(chosen)} tokens revoked; the others were revoked before."

    @admin.display(description="token")
    def begins(self, row: AccessToken) -> str:
        """The first characters of the token."""
        return f"{row.prefix}…"

    @admin.display(description="label")
    def named(self, row: AccessToken) -> str:
        """What it is for."""
        return row.shown_label

    @admin.display(description="state")
    def token_state(self, row: AccessToken) -> str:
        """Whether it is live, revoked, expired, or of a user who is not active."""
        return row.state(now())

    @admin.display(description="rights")
    def rights(self, row: AccessToken) -> str:
        """What it permits, within its user's rights."""
        return "read only" if row.read_only else "read and write"

    @admin.display(description="repositories")
    def reach(self, row: AccessToken) -> str:
        """The repositories that it is valid for."""
        if not row.narrowed:
            return "all of its user's"
        return ", ".join(sorted(each.name for each in row.repositories.all())) or "none any more"

    @admin.display(description="created (UTC)")
    def created(self, row: AccessToken) -> str:
        """When it was created."""
        return to_the_minute(row.created_at)

    @admin.display(description="ends (UTC)")
    def ends(self, row: AccessToken) -> str:
        """When it expires."""
        return to_the_minute(row.expires_at) if row.expires_at else "never"

    @admin.display(description="revoked (UTC)")
    def revoked(self, row: AccessToken) -> str:
        """When it was revoked."""
        return to_the_minute(row.revoked_at)

    @admin.display(description="last used (UTC)")
    def used(self, row: AccessToken) -> str:
        """When it was last used, give or take a few minutes."""
        return to_the_minute(row.last_used_at) if row.last_used_at else "never"

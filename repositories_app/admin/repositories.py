"""Repositories in the console, with their members and their secrets' keys."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit_app.actors import Actor
from fugata_core.admin.action_form import ActionFormAdmin
from fugata_core.admin.confirmation import confirmed_action
from fugata_core.admin.formats import to_the_minute, values_left
from repositories_app.actions.repositories import (
    create_repository,
    delete_repositories,
    remove_member,
    set_member,
)
from repositories_app.admin.forms import MemberForm, MembersFormSet, NewRepositoryForm
from repositories_app.models import Membership, Repository


class MembersInline(admin.TabularInline):  # type: ignore[type-arg]
    """Who may use the repository, and how."""

    model = Membership
    form = MemberForm
    formset = MembersFormSet
    fields = ("username", "role")
    extra = 1
    verbose_name_plural = "members"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        """Return the members by name."""
        return super().get_queryset(request).select_related("user").order_by("user__username")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return `member`, the name as text, for users who may not change members."""
        return () if self.has_change_permission(request, obj) else ("member",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return the columns."""
        may_change = self.has_change_permission(request, obj)
        return ("username", "role") if may_change else ("member", "role")

    @admin.display(description="user")
    def member(self, membership: Membership) -> str:
        """The user's name."""
        return membership.user.get_username()


@admin.register(Repository)
class RepositoryAdmin(ActionFormAdmin):
    """A repository is created with its owner and deleted with its secrets; its id never changes."""

    form_class = NewRepositoryForm
    list_display = ("name", "secrets_kept", "created")
    ordering = ("name",)
    sortable_by = ("name",)
    search_fields = ("name__istartswith",)
    search_help_text = "The beginning of an id"
    fields = ("name", "secrets_kept", "created", "more")
    readonly_fields = fields
    inlines = (MembersInline,)
    actions = ("delete_with_secrets",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may change its members."""
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def has_delete_with_secrets_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may delete it with all its secrets."""
        return request.user.has_perm("repositories_app.delete_repository")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Repository]:
        """Return repositories with how many secrets each has."""
        rows: QuerySet[Repository] = super().get_queryset(request)
        return rows.annotate(kept=Count("secrets"))

    def make(self, request: HttpRequest, form: NewRepositoryForm) -> HttpResponse:
        """Create a repository and redirect to its page."""
        asked = form.cleaned_data
        made = create_repository(asked["name"], asked["owner"], Actor.from_session(request))
        self.log_addition(request, made, "Added.")
        self.message_user(request, f"Repository {made.name} was made.", messages.SUCCESS)
        return HttpResponseRedirect(
            reverse("admin:repositories_app_repository_change", args=[made.pk])
        )

    @confirmed_action(
        "Delete with all secrets",
        "delete_with_secrets",
        "All their secrets are deleted with their values, and whoever reads them gets a 404 from"
        " then on. Nobody can bring them back.",
    )
    def delete_with_secrets(self, request: HttpRequest, chosen: list[Repository]) -> str:
        """Delete the chosen repositories."""
        names, actor = [row.name for row in chosen], Actor.from_session(request)
        removed = delete_repositories(names, actor)
        text = f"{len(chosen)} repositories and {removed.count} secrets deleted."
        return text + values_left(removed.left)

    def save_model(self, request: HttpRequest, obj: Repository, form: Any, change: bool) -> None:
        """Do nothing: the repository itself never changes here."""

    def save_formset(
        self,
        request: HttpRequest,
        form: Any,
        formset: Any,
        change: bool,
    ) -> None:
        """Give and remove roles through the actions, so that each is an audit event."""
        name, actor = form.instance.name, Actor.from_session(request)
        formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        for row in formset.forms:
            if not row.has_changed():
                continue
            username = row.cleaned_data.get("username", "")
            if row in formset.deleted_forms:
                if row.instance.pk:
                    remove_member(name, username, actor)
                    formset.deleted_objects.append(row.instance)
                continue
            member = set_member(name, username, row.cleaned_data["role"], actor)
            if row.instance.pk:
                formset.changed_objects.append((member, row.changed_data))
            else:
                formset.new_objects.append(member)

    @admin.display(description="secrets")
    def secrets_kept(self, repository: Repository) -> int:
        """How many secrets it has."""
        return int(repository.kept)  # type: ignore[attr-defined]

    @admin.display(description="created (UTC)")
    def created(self, repository: Repository) -> str:
        """When it was created."""
        return to_the_minute(repository.created_at)

    @admin.display(description="more")
    def more(self, repository: Repository) -> SafeString:
        """Links to the keys of its secrets and to its audit events."""
        return format_html(
            '<a href="{}?repository__name={}">The keys of its secrets</a> ·'
            ' <a href="{}?repository={}">Its audit events</a>',
            reverse("admin:repositories_app_repositorysecret_changelist"),
            repository.name,
            reverse("admin:audit_app_auditevent_changelist"),
            repository.name,
        )

"""The keys of repository secrets in the console. Values are neither shown nor set here."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from audit_app.actors import Actor
from fugata_core.admin.confirmation import confirmed_action
from fugata_core.admin.formats import to_the_minute, values_left
from fugata_core.admin.read_only import ReadOnlyAdmin
from fugata_core.tokens import cut_secrets
from repositories_app.actions.repositories import remove_secrets
from repositories_app.models import RepositorySecret


@admin.register(RepositorySecret)
class RepositorySecretAdmin(ReadOnlyAdmin):
    """The list of secrets; removing one deletes its value."""

    list_display = ("name", "repository", "value_size", "created", "updated")
    list_select_related = ("repository",)
    extra_lookups = ("repository__name",)
    ordering = ("repository__name", "secret_key")
    sortable_by = ()
    search_fields = ("secret_key__istartswith", "repository__name__istartswith")
    search_help_text = "The beginning of a key, or of a repository's id"
    fields = ("repository", "name", "value_size", "key", "created", "updated")
    readonly_fields = fields
    actions = ("remove",)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may remove secrets."""
        return request.user.has_perm("repositories_app.remove_repositorysecret")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RepositorySecret]:
        """Return the rows without the columns that no page shows."""
        return super().get_queryset(request).defer("wrapped_key", "value_name")

    @confirmed_action(
        "Remove",
        "remove",
        "Their values are deleted, and whoever reads them gets a 404 from then on. Nobody can"
        " bring them back.",
    )
    def remove(self, request: HttpRequest, chosen: list[RepositorySecret]) -> str:
        """Remove the chosen secrets with their values."""
        removed = remove_secrets(chosen, Actor.from_session(request))
        text = f"{removed.count} of {len(chosen)} secrets removed."
        return text + values_left(removed.left)

    @admin.display(description="secret key")
    def name(self, secret: RepositorySecret) -> str:
        """The key, without what has the form of a token: no new one may have it."""
        return cut_secrets(secret.secret_key)

    @admin.display(description="size")
    def value_size(self, secret: RepositorySecret) -> str:
        """The size of the value."""
        return filesizeformat(secret.size)

    @admin.display(description="created (UTC)")
    def created(self, secret: RepositorySecret) -> str:
        """When the key was first set."""
        return to_the_minute(secret.created_at)

    @admin.display(description="updated (UTC)")
    def updated(self, secret: RepositorySecret) -> str:
        """When its value was last set."""
        return to_the_minute(secret.updated_at)

"""Keys in the console: which there are and how many rows need each. Never the keys themselves."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from fugata_core.admin.formats import to_the_minute
from fugata_core.admin.read_only import ReadOnlyAdmin
from vault_app.backends import key_provider
from vault_app.errors import VaultError
from vault_app.models import KeyEncryptionKey
from vault_app.usage import rows_of, with_rows


@admin.register(KeyEncryptionKey)
class KeyAdmin(ReadOnlyAdmin):
    """A key that is not primary and that no row needs can be retired."""

    list_display = ("id", "wraps", "rows", "created")
    ordering = ("created_at", "id")
    sortable_by = ()
    fields = ("id", "wraps", "rows", "created")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[KeyEncryptionKey]:
        """Return the keys with the number of rows that need each."""
        return with_rows(super().get_queryset(request))

    @admin.display(description="primary", boolean=True)
    def wraps(self, key: KeyEncryptionKey) -> bool:
        """Whether new values are sealed under it."""
        try:
            return key_provider().primary == key.id
        except VaultError:
            return False

    @admin.display(description="rows that need it")
    def rows(self, key: KeyEncryptionKey) -> int:
        """How many data keys it has wrapped."""
        return rows_of(key)

    @admin.display(description="created (UTC)")
    def created(self, key: KeyEncryptionKey) -> str:
        """When it was first used here."""
        return to_the_minute(key.created_at)

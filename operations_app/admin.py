"""Accounts in the console: superusers change them, others with permission look at them.

A user is deactivated rather than deleted, which ends their sessions and, unless the superuser says
no, their tokens. Deleting is for accounts made by mistake: nothing may depend on who is deleted.
"""

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from audit_app.actors import Actor
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core.admin.lists import ListAdmin
from operations_app.accounts import (
    AccountForm,
    GroupForm,
    NewAccountForm,
    end_sessions,
    settle_tokens,
    with_question,
)
from repositories_app.models import AccessToken, Membership

admin.site.unregister([User, Group])


def _is_superuser(request: HttpRequest) -> bool:
    return cast(User, request.user).is_superuser


def _record(request: HttpRequest, subject: str) -> None:
    record(AuditEvent.Kind.ACCOUNT_CHANGED, Actor.from_session(request), subject=subject)


class SuperusersAdmin(ListAdmin):
    """Only superusers make changes: a user who may change an account can take it over."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow superusers only."""
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow superusers only."""
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow nobody; subclasses may override this."""
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Record the change in the trail, in its transaction."""
        super().save_related(request, form, formsets, change)
        _record(request, f"{self.opts.verbose_name} {form.instance}")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete it, and record that in the trail."""
        _record(request, f"{self.opts.verbose_name} {obj}, deleted")
        super().delete_model(request, obj)


@admin.register(User)
class UserAccountAdmin(SuperusersAdmin, UserAdmin):  # type: ignore[type-arg]
    """Users: people who sign in here, and owners of access tokens."""

    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    search_fields = ("username", "email")
    form = AccountForm
    add_form = NewAccountForm

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Hide the password's details from users who may not change it."""
        if _is_superuser(request):
            return with_question(super().get_fieldsets(request, obj), obj)
        fields = ("username", "email", "is_active", "is_staff", "is_superuser", "groups")
        return [(None, {"fields": (*fields, "last_login", "date_joined")})]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form's class, which knows who fills it in."""
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.signed_in = request.user
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Record the change, and see to what an account that ends would leave behind."""
        super().save_related(request, form, formsets, change)
        if not form.instance.is_active:
            end_sessions(form.instance)
        if change:
            settle_tokens(request, form)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow superusers to delete users that nothing depends on."""
        return obj is not None and _is_superuser(request) and not _has_dependents(obj)

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002  # Django's name
        form_url: str = "",
    ) -> HttpResponse:
        """Set a password, and record that in the trail."""
        response = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            _record(request, f"user {User.objects.get(pk=id)}, password")
        return response


def _has_dependents(user: User) -> bool:
    """Return whether tokens, roles or entries of the history would be deleted with the user."""
    kinds: tuple[type[Model], ...] = (AccessToken, Membership, LogEntry)
    return any(kind._base_manager.filter(user=user).exists() for kind in kinds)


@admin.register(Group)
class GroupAccountAdmin(SuperusersAdmin, GroupAdmin):
    """Groups, and what their members may do."""

    form = GroupForm

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow superusers, one group at a time."""
        return obj is not None and _is_superuser(request)

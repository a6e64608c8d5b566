"""What becomes of an account's tokens and sessions when it is deactivated, and activated again."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit_app.actors import Actor
from fugata_core.tokens import NAME_RULE, has_secret
from repositories_app.actions.tokens import revoke_tokens_of
from repositories_app.models import AccessToken

_FIELD = "revoke_tokens"
_TEXTS = ("name", "username", "first_name", "last_name", "email")
_RIGHTS = ("is_active", "is_staff", "is_superuser")


class _OfferedBox(forms.CheckboxInput):
    """A box that counts as ticked where the page did not have it, as there was no token yet."""

    def render(self, name: str, *args: Any, **kwargs: Any) -> SafeString:
        """Return the box, and a field that tells an unticked box from none."""
        box = super().render(name, *args, **kwargs)
        return format_html('{}<input type="hidden" name="{}-offered" value="1">', box, name)

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Return whether it is ticked."""
        return f"{name}-offered" not in data or super().value_from_datadict(data, files, name)


class _Question(forms.BooleanField):
    """A box that is no column of the user, so that no history tells of it."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return False."""
        return False


class _NoSecrets(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses new texts that have the form of a secret."""

    def clean(self) -> Any:
        """Return the cleaned data, with an error at each text that may open or permit something."""
        cleaned = super().clean() or self.cleaned_data
        for name in _TEXTS:
            if name in self.changed_data and has_secret(cleaned.get(name) or ""):
                self.add_error(name, f"This {NAME_RULE}")
        return cleaned


class _KeptName(forms.ModelForm):  # type: ignore[type-arg]
    """Lets a user's name stay as it is.

    The commands take names that this page's rules do not: their owners can leave all the same.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keeps_name = self.data.get(self.add_prefix("username")) == self.instance.username
        if self.keeps_name:
            field = cast(forms.CharField, self.fields["username"])
            field.validators, field.strip = [], False

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | ({"username"} if self.keeps_name else set())

    def _post_clean(self) -> None:
        name = self.instance.username
        super()._post_clean()  # type: ignore[misc]
        if self.keeps_name:  # exactly: Django would spell it in its own way
            self.instance.username = name


class GroupForm(_NoSecrets):
    """Django's form of a group."""


class NewAccountForm(_NoSecrets, AdminUserCreationForm):  # type: ignore[type-arg]
    """Django's form of a new user."""


class AccountForm(_NoSecrets, _KeptName, UserChangeForm):  # type: ignore[type-arg]
    """Django's form of a user, which asks what becomes of the tokens."""

    revoke_tokens = _Question(required=False, widget=_OfferedBox())

    #: Who changes the account; set by the page.
    signed_in: User | None = None

    def clean(self) -> Any:
        """Return the cleaned data. Nobody takes away their own rights: they can't get them back."""
        cleaned = super().clean() or self.cleaned_data
        if self.instance == self.signed_in:
            for name in _RIGHTS:
                if not cleaned.get(name, True):
                    self.add_error(name, "This is your own account: ask another superuser.")
        return cleaned

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number, active = _tokens_of(self.instance).count(), self.instance.is_active
        them = f"their {number} access token{pluralize(number)}"
        self.fields[_FIELD].label = (
            f'When "Active" is unticked, also revoke {them}, for good'
            if active
            else f"Revoke {them}, for good"
        )
        # Whoever left a box unticked when the account ended is not asked again by accident.
        self.fields[_FIELD].initial = active
        self.fields[_FIELD].help_text = (
            "Tokens of an inactive user do not work. Those that are not revoked work again as soon"
            ' as "Active" is ticked.'
        )


def with_question(fieldsets: Any, user: User | None) -> Any:
    """Return the fieldsets of a user's page, with the box beside "Active" if there are tokens."""
    if user is None or not _tokens_of(user).exists():
        return fieldsets
    return [(title, {**more, "fields": _asked(more["fields"])}) for title, more in fieldsets]


def _asked(fields: Any) -> list[Any]:
    return [part for name in fields for part in ([name, _FIELD] if name == "is_active" else [name])]


def settle_tokens(request: HttpRequest, form: Any) -> None:
    """Revoke an inactive user's tokens if that was asked for, and say what has become of them.

    After the user was saved, in its transaction: that waits for tokens that are being created.
    """
    user = cast(User, form.instance)
    if not user.is_active and form.cleaned_data[_FIELD]:
        number = revoke_tokens_of(user, Actor.from_session(request))
        if number:
            text = f"{number} access token{pluralize(number, ' was,s were')} revoked."
            messages.success(request, text)
    elif not user.is_active or "is_active" in form.changed_data:
        _tell_of_tokens(request, user)


def _tell_of_tokens(request: HttpRequest, user: User) -> None:
    number = _tokens_of(user).count()
    if not number:
        return
    place = reverse("admin:repositories_app_accesstoken_changelist")
    query = urlencode({"user__username": user.get_username()})
    link = format_html(
        '<a href="{}?{}">{} access token{}</a>', place, query, number, pluralize(number)
    )
    it = pluralize(number, "it,they")
    told = (
        f"of {user} work{pluralize(number, 's,')} again."
        if user.is_active
        else f'of {user} stay{pluralize(number, "s,")}: {it} will work again if "Active" is ticked.'
    )
    messages.warning(request, format_html("{} {}", link, told))


def _tokens_of(user: User) -> QuerySet[AccessToken]:
    return AccessToken.objects.lasting().filter(user=user)


def end_sessions(user: User) -> None:
    """End a user's sessions: who keeps one alive must not be signed in when active again."""
    for session in Session.objects.iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            session.delete()

"""The console's forms; their fields are what the actions take."""

from typing import Any

from django import forms
from django.contrib.admin import widgets
from django.contrib.auth.models import User

from fugata_core.durations import duration
from repositories_app.actions.repositories import is_raised
from repositories_app.actions.tokens import TokenScope
from repositories_app.models import Membership, Repository
from repositories_app.names import REPOSITORY_RULE

_NEW_USERS = "A name that is new makes a user without a password."


def _text(max_length: int, **more: Any) -> forms.CharField:
    return forms.CharField(max_length=max_length, widget=widgets.AdminTextInputWidget(), **more)


class NewRepositoryForm(forms.Form):
    """A repository and its first owner."""

    name = _text(100, label="Id", help_text=f"{REPOSITORY_RULE[0].upper()}{REPOSITORY_RULE[1:]}.")
    owner = _text(150, label="Owner", help_text=f"The user name. {_NEW_USERS}")


class MemberForm(forms.ModelForm):  # type: ignore[type-arg]
    """A user's role; for an existing member only the role can change."""

    username = _text(150, label="User", help_text=_NEW_USERS)

    class Meta:
        model = Membership
        fields = ("role",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # To a screen reader, the column headings are not labels.
        self.fields["username"].widget.attrs["aria-label"] = "User"
        self.fields["role"].widget.attrs["aria-label"] = "Role"
        if self.instance.pk:
            self.fields["username"].initial = self.instance.user.get_username()
            self.fields["username"].disabled = True

    def clean_username(self) -> str:
        """Return the name, unless it is of an inactive user who is no member yet."""
        username: str = self.cleaned_data["username"]
        inactive = User.objects.filter(username=username, is_active=False)
        if not self.instance.pk and inactive.exists():
            raise forms.ValidationError("This user is not active, and gets no new role.")
        return username

    def clean_role(self) -> str:
        """Return the role, unless it is a higher one of an inactive member."""
        role: str = self.cleaned_data["role"]
        inactive = self.instance.pk and not self.instance.user.is_active
        if inactive and is_raised(self.instance.role, role):
            raise forms.ValidationError("This user is not active, and gets no higher role.")
        return role


class MembersFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The members of one repository."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """Add the deletion checkbox, labelled for screen readers."""
        super().add_fields(form, index)
        if "DELETE" in form.fields:
            form.fields["DELETE"].widget.attrs["aria-label"] = "Delete"


class NewTokenForm(forms.Form):
    """A new token's user and scope."""

    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("username"),
        help_text="The token may do what this user may. Only active users can have a new one.",
        error_messages={"invalid_choice": "There is no such user, or they are not active."},
    )
    label = _text(200, required=False, help_text="What it is for. Not encrypted.")
    repositories = forms.ModelMultipleChoiceField(
        Repository.objects.order_by("name"),
        required=False,
        help_text="Good for these alone. None chosen: for all that the user is a member of.",
    )
    read_only = forms.BooleanField(required=False, label="Read only")
    expires = _text(
        10,
        required=False,
        label="Ends after",
        help_text="A whole number and s, m, h or d, for instance 90d. Empty: it does not end.",
    )

    def clean_expires(self) -> str:
        """Return the duration as it was typed. Raises ValidationError."""
        text: str = self.cleaned_data["expires"]
        if text and duration(text) is None:
            raise forms.ValidationError("Write a whole number and s, m, h or d, for instance 90d.")
        return text

    def scope(self) -> TokenScope:
        """Return the scope that the valid form describes."""
        asked = self.cleaned_data
        return TokenScope(
            repositories=[repository.name for repository in asked["repositories"]],
            read_only=asked["read_only"],
            lifetime=duration(asked["expires"]) if asked["expires"] else None,
            label=asked["label"],
        )

"""Signing in to the admin: attempts are counted by client and by account, before the password is
looked at. What is said of a wrong one is the same whether or not the account exists.
"""

from dataclasses import replace
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest

from fugata_site.console.sessions import SessionStore
from secrets_app.audit import Actor, record
from secrets_app.guessing import refuse_many_sign_ins
from secrets_app.models import AuditEvent


class CountedSignInForm(AdminAuthenticationForm):
    """Django's form, which says the same of every wrong name, password and account."""

    def clean(self) -> dict[str, Any]:
        """Return who signs in. Raises ValidationError, or TooManySignIns."""
        assert self.request is not None
        actor = Actor.of(self.request)
        refuse_many_sign_ins(actor, self.cleaned_data.get("username", ""))
        try:
            return super().clean()
        except ValidationError:
            # Without the name: people type passwords into that field.
            record(AuditEvent.Kind.REFUSED, actor)
            raise


@receiver(user_logged_in)
def note_sign_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Write who signed in, and forget sessions that have ended."""
    SessionStore.clear_expired()
    record(AuditEvent.Kind.SIGNED_IN, replace(Actor.of(request), username=user.get_username()))

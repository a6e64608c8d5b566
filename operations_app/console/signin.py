"""Signing in to the console: attempts are counted by client, network and account, before the
password is checked, and forgiven if it is right. The error for a wrong one is the same whether or
not the account exists.
"""

from dataclasses import replace
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from audit_app.actors import Actor
from audit_app.guessing import forgive_sign_in, refuse_many_sign_ins
from audit_app.models import AuditEvent
from audit_app.refusals import count_refusal
from audit_app.trail import record
from operations_app.console.sessions import SessionStore

#: Of a wrong name, a wrong password, and an account that is locked or has no place in the console.
_WRONG = "The name or the password is wrong, or this account can't sign in here."


class CountedSignInForm(AdminAuthenticationForm):
    """Django's form, which gives the same error for every wrong name, password and account."""

    error_messages = {"invalid_login": _WRONG, "inactive": _WRONG}

    def clean(self) -> dict[str, Any]:
        """Return the cleaned data, if it is right. Raises ValidationError, or TooManySignIns.

        Also records the sign-in, and deletes expired sessions: no task does.
        """
        assert self.request is not None
        actor = Actor.from_request(self.request)
        username = self.cleaned_data.get("username")
        if not username or not self.cleaned_data.get("password"):  # nothing is checked
            return super().clean()
        cleaned = self._checked(actor, username)
        record(AuditEvent.Kind.SIGNED_IN, replace(actor, username=username))
        SessionStore.clear_expired()
        return cleaned

    def _checked(self, actor: Actor, username: str) -> dict[str, Any]:
        """Return the cleaned data of a right password. Only wrong ones stay counted."""
        refuse_many_sign_ins(actor, username)
        try:
            cleaned = super().clean()
        except ValidationError:
            # Without the name: people type passwords into that field.
            count_refusal(actor)
            raise
        except Exception:  # of the database: no password was found wrong
            forgive_sign_in(actor, username)
            raise
        forgive_sign_in(actor, username)
        return cleaned

"""Setting one's own password: guessing the old one is counted, and the change is an event."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import CommandError, call_command

from audit_app.models import AuditEvent, RefusalCount
from fugata_core.access_tokens import new_access_token
from tests.support.clients.operators import PASSWORD, Admin, person, text

pytestmark = pytest.mark.django_db

NEW = "another horse battery"


@pytest.fixture
def olga() -> Admin:
    """The console as an operator sees it."""
    cache.clear()
    return Admin(person("olga", "operator"))


def change(admin: Admin, old: str, new: str = NEW) -> int:
    fields = {"old_password": old, "new_password1": new, "new_password2": new}
    return admin.post("password_change/", **fields).status_code


def test_a_change_is_an_event(olga: Admin) -> None:
    assert change(olga, PASSWORD) == 302
    event = AuditEvent.objects.get(kind="account changed")
    assert (event.username, event.subject) == ("olga", "user olga, password")
    assert User.objects.get(username="olga").check_password(NEW)


def test_guesses_are_counted(olga: Admin) -> None:
    assert [change(olga, f"guess {n}") for n in range(11)] == [200] * 10 + [429]
    assert change(olga, PASSWORD) == 429
    assert RefusalCount.objects.get().count == 10
    assert User.objects.get(username="olga").check_password(PASSWORD)
    assert not AuditEvent.objects.filter(kind="account changed").exists()


def test_a_new_one_that_is_too_short_is_no_guess(olga: Admin) -> None:
    assert [change(olga, PASSWORD, "short") for _ in range(12)] == [200] * 12
    assert change(olga, PASSWORD) == 302
    assert "password" in text(olga.get("password_change/done/"))


def test_a_superuser_is_not_named_as_a_token() -> None:
    token = new_access_token()
    with pytest.raises(CommandError, match="must not have the form"):
        call_command("createsuperuser", username=token, email="a@example.com", interactive=False)
    assert not User.objects.exists()

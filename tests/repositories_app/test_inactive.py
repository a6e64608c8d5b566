"""Users who are not active: they get nothing new, and nothing of theirs is called live."""

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError

from audit_app.models import AuditEvent
from fugata_core.errors import BadRequest
from repositories_app.actions.repositories import create_repository, remove_member, set_member
from repositories_app.models import AccessToken, Membership, Repository
from tests.repositories_app.support import REPOSITORY, token_of
from tests.repositories_app.test_admin import member, members_form, new_token, roles
from tests.repositories_app.test_commands import result, said
from tests.support.clients.operators import Admin, person, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members")]

TOKENS = "repositories_app/accesstoken"


@pytest.fixture
def operator() -> Admin:
    return Admin(person("olga", "operator"))


def deactivate(username: str) -> int:
    User.objects.filter(username=username).update(is_active=False)
    return User.objects.get(username=username).pk


def test_no_token(operator: Admin) -> None:
    alice = deactivate("alice")
    with pytest.raises(BadRequest, match="alice is not active"):
        token_of("alice")
    with pytest.raises(CommandError, match="alice is not active"):
        said("create_access_token", "alice")
    page = text(operator.post(f"{TOKENS}/add/", user=alice))
    assert "There is no such user, or they are not active." in page
    assert "Only active users can have a new one" in page
    assert AccessToken.objects.count() == 0
    assert not AuditEvent.objects.filter(kind="token created").exists()


def test_no_repository(operator: Admin) -> None:
    deactivate("charlie")
    with pytest.raises(BadRequest, match="charlie is not active"):
        create_repository("new", "charlie")
    with pytest.raises(CommandError, match="charlie is not active"):
        said("create_repository", "new", "--owner", "charlie", "--token")
    page = text(operator.post("repositories_app/repository/add/", name="new", owner="charlie"))
    assert "charlie is not active" in page
    assert Repository.objects.count() == 2


def test_no_new_role_but_another(operator: Admin) -> None:
    """Who is a member can be given fewer rights, or none."""
    deactivate("charlie")
    deactivate("alice")
    with pytest.raises(BadRequest, match="charlie is not active"):
        set_member(REPOSITORY, "charlie", "reader")
    assert not Membership.objects.filter(user__username="charlie").exists()
    place = f"repositories_app/repository/{Repository.objects.get(name=REPOSITORY).pk}/change/"
    page = operator.post(place, **members_form(("", "charlie", "reader", False)))
    assert "This user is not active, and gets no new role." in text(page)
    changed = members_form((member("alice"), "alice", "reader", False))
    assert operator.post(place, **changed).status_code == 302
    assert roles()["alice"] == "reader"
    remove_member(REPOSITORY, "alice")


def test_no_higher_role(operator: Admin) -> None:
    """The same one again is none."""
    deactivate("rita")
    with pytest.raises(CommandError, match="rita is not active"):
        said("set_member", REPOSITORY, "rita", "--role", "owner")
    place = f"repositories_app/repository/{Repository.objects.get(name=REPOSITORY).pk}/change/"
    raised = members_form((member("rita"), "rita", "writer", False))
    assert "This user is not active, and gets no higher role." in text(
        operator.post(place, **raised)
    )
    assert roles()["rita"] == "reader"
    said("set_member", REPOSITORY, "rita", "--role", "reader")


def test_what_is_called_live(operator: Admin) -> None:
    token = new_token(operator, user=User.objects.get(username="alice").pk)
    token_of("bob")
    deactivate("alice")
    states = {each["user"]: each["state"] for each in result("list_access_tokens")["tokens"]}
    assert states == {"alice": "inactive user", "bob": "live"}
    assert "alice\tinactive user" in said("list_access_tokens")
    row = AccessToken.objects.get(prefix=token[:10])
    for path in (f"{TOKENS}/", f"{TOKENS}/{row.pk}/change/"):
        assert "inactive user" in text(operator.get(path))
    result("revoke_access_token", str(row.pk))
    (listed,) = result("list_access_tokens", "--user", "alice")["tokens"]
    assert listed["state"] == "revoked"

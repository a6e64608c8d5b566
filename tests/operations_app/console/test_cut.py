"""No id and no token is shown in the console, nor kept by it, wherever somebody put one."""

from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.management import call_command

from fugata_core.access_tokens import new_access_token
from repositories_app.models import AccessToken, RepositorySecret
from secrets_app import ids
from secrets_app.models import Share
from tests.repositories_app.support import REPOSITORY, opened, people, token_of
from tests.secrets_app.support import share
from tests.support.clients.operators import Admin, person, text

pytestmark = pytest.mark.django_db

SECRETS = [ids.new_share_id(), ids.new_deletion_token(), new_access_token()]


@pytest.fixture
def admin() -> Admin:
    """The console as a superuser sees it."""
    return Admin(person("root", superuser=True))


def kept() -> str:
    """Return what sessions and the history hold."""
    sessions = [str(session.get_decoded()) for session in Session.objects.all()]
    return str([*sessions, *LogEntry.objects.values()])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("model", ["secrets_app/share", "auth/user", "repositories_app/repository"])
def test_in_the_address_of_a_row(admin: Admin, model: str, secret: str) -> None:
    answer = admin.get(f"{model}/{secret}/change/")
    assert answer.status_code == 302
    assert secret[10:] not in kept()
    page = text(admin.get(""))
    assert "exist" in page
    assert secret[10:] not in page


@pytest.mark.parametrize("secret", SECRETS)
def test_in_a_label(admin: Admin, secret: str) -> None:
    people()
    share()
    Share.objects.update(label=f"see {secret}")
    token_of("alice", label=f"see {secret}")
    assert secret[10:] not in AccessToken.objects.get().label
    AccessToken.objects.update(label=f"see {secret}")  # as releases before kept it
    rows = {"secrets_app/share": Share, "repositories_app/accesstoken": AccessToken}
    for place, model in rows.items():
        for page in ("", f"{model._base_manager.get().pk}/change/"):
            shown = text(admin.get(f"{place}/{page}"))
            assert f"see {secret[:4]}" in shown
            assert secret[10:] not in shown


@pytest.mark.parametrize("secret", SECRETS)
def test_in_a_label_that_is_listed(secret: str) -> None:
    people()
    token_of("alice")
    AccessToken.objects.update(label=secret)
    for options in ((), ("--json",)):
        out = StringIO()
        call_command("list_access_tokens", *options, stdout=out)
        assert secret[10:] not in out.getvalue()


@pytest.mark.parametrize("secret", SECRETS)
def test_as_a_key_of_releases_before(admin: Admin, secret: str) -> None:
    people()
    columns = {"wrapped_key": b"1", "key_id": "test", "value_name": "v", "size": 1}
    place = {"repository_id": opened(REPOSITORY).id, "secret_key": secret}
    row = RepositorySecret.objects.create(**columns, **place)
    for page in ("", f"{row.pk}/change/"):
        assert secret[10:] not in text(admin.get(f"repositories_app/repositorysecret/{page}"))
    asked = admin.act("repositories_app/repositorysecret", "remove", row.pk)
    assert secret[10:] not in text(asked)


@pytest.mark.parametrize("secret", SECRETS)
def test_as_a_name(admin: Admin, secret: str) -> None:
    people()
    password = {"password1": "correct horse battery", "password2": "correct horse battery"}
    fields = {"username": secret, "usable_password": "true", **password}
    page = text(admin.post("auth/user/add/", **fields))
    assert "must not have the form of an id or a token" in page
    alice = User.objects.get(username="alice")
    page = text(admin.post(f"auth/user/{alice.pk}/change/", username=secret))
    assert "must not have the form of an id or a token" in page
    group = Group.objects.create(name="auditors")
    for place in ("add", f"{group.pk}/change"):
        page = text(admin.post(f"auth/group/{place}/", name=secret))
        assert "must not have the form of an id or a token" in page
    page = text(admin.post("repositories_app/repository/add/", name=secret, owner="alice"))
    assert "must not have the form of an id or a token" in page
    assert secret[10:] not in kept()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("field", ["first_name", "last_name", "email"])
def test_as_what_is_known_of_a_person(admin: Admin, field: str, secret: str) -> None:
    alice = person("alice")
    said = f"{secret}@example.org" if field == "email" else secret
    page = text(admin.post(f"auth/user/{alice.pk}/change/", username="alice", **{field: said}))
    assert "must not have the form of an id or a token" in page
    assert secret[10:] not in kept()

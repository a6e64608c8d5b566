"""A token that enumerates is seen in the trail, though it reads no value."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from audit_app.models import AuditEvent, LookupCount
from repositories_app.actions.repositories import remove_secrets
from repositories_app.models import RepositorySecret
from tests.repositories_app.support import OTHERS, REPOSITORY, Api, happened, token_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members", "frozen_minute")]

LOOKUPS: dict[str, Callable[[Api], object]] = {
    "list": lambda api: api.list(),
    "head of the list": lambda api: api.send("HEAD", api.place),
    "head": lambda api: api.head("KEY"),
    "head of what is missing": lambda api: api.head("NO_KEY"),
    "read of what is missing": lambda api: api.read("NO_KEY"),
    "read of what is no key": lambda api: api.read("no key"),
    "removal of what is missing": lambda api: api.remove("NO_KEY"),
    "a key that may not be": lambda api: api.set("a/b", "v"),
    "no body": lambda api: api.send("POST", api.place),
    "no JSON": lambda api: api.send("POST", api.place, b"{"),
    "a value that is too large": lambda api: api.set("KEY", "12345"),
}


@pytest.mark.parametrize("call", LOOKUPS.values(), ids=LOOKUPS)
def test_is_counted(settings: Settings, call: Callable[[Api], object]) -> None:
    settings.MAX_SECRET_SIZE = 4
    token = token_of("wendy")
    Api(token).set("KEY", "v")
    for _ in range(3):
        call(Api(token))
    row = LookupCount.objects.get()
    assert (row.username, row.token, row.repository) == ("wendy", token[:10], REPOSITORY)
    assert row.count == 3
    assert len(bytes(row.address_hash)) == 16


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "PATCH", "TRACE"])
def test_what_tells_that_the_token_is_live(method: str) -> None:
    """Whatever the repository: it is not looked at."""
    assert Api(token_of("bob")).send(method, f"{Api(None).place}/KEY").status_code == 405
    assert LookupCount.objects.get().repository == ""
    assert Api(None).send(method, f"{Api(None).place}/KEY").status_code == 401
    assert LookupCount.objects.count() == 1


def test_a_body_that_is_no_json() -> None:
    headers = {"authorization": f"Bearer {token_of('wendy')}"}
    assert Client().post(Api(None).place, {"secret_key": "k"}, headers=headers).status_code == 415
    assert LookupCount.objects.get().repository == REPOSITORY


def test_what_has_an_event_of_its_own_is_not_counted() -> None:
    api = Api(token_of("wendy"))
    api.set("KEY", "v")
    api.read("KEY")
    api.remove("KEY")
    Api(token_of("bob")).list()
    assert happened() == ["set", "read", "removed", "refused"]
    assert not LookupCount.objects.exists()


def test_an_id_that_no_repository_can_have() -> None:
    assert Api(token_of("bob"), "a repo").list().status_code == 404
    assert LookupCount.objects.get().repository == ""


def test_others_repositories_are_counted_apart() -> None:
    Api(token_of("alice")).list()
    Api(token_of("bob"), OTHERS).list()
    assert set(LookupCount.objects.values_list("username", "repository", "count")) == {
        ("alice", REPOSITORY, 1),
        ("bob", OTHERS, 1),
    }


def test_the_service_itself_looks_nothing_up() -> None:
    Api(token_of("wendy")).set("KEY", "v")
    from audit_app.actors import COMMAND_LINE

    remove_secrets(list(RepositorySecret.objects.all()) * 2, COMMAND_LINE)
    assert not LookupCount.objects.exists()
    assert AuditEvent.objects.filter(kind="removed").count() == 1

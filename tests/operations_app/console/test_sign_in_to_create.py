"""The page that signs in, for people who only want to create a link (CREATE_REQUIRES_LOGIN)."""

import re

import pytest
from django.contrib.auth.models import User
from django.http.response import HttpResponseBase
from django.test import Client
from pytest_django.fixtures import Settings

from tests.support.clients.operators import PASSWORD, person, text

pytestmark = pytest.mark.django_db

AT = "/admin/login/?next=/"
WHY = "only people who have an account may create a link. Opening one needs no account."


@pytest.fixture(autouse=True)
def signing_in(settings: Settings) -> None:
    settings.CREATE_REQUIRES_LOGIN = True


@pytest.fixture
def carla() -> User:
    """Somebody who may create links, and is in no group of the console."""
    return person("carla")


def send(client: Client, username: str = "carla", password: str = PASSWORD) -> HttpResponseBase:
    return client.post(AT, {"username": username, "password": password, "next": "/"})


def speaks_of_the_console(page: str) -> bool:
    """Return whether people read, or can follow a link to, what is for operators only."""
    shown = re.sub(r"<(style|script|svg).*?</\1>|<form [^>]*>|<link [^>]*>", "", page, flags=re.S)
    return bool(re.search(r"\bstaff\b|\badmin site\b|href=\"/admin/\"|administration", shown, re.I))


def test_the_page_says_why_it_asks() -> None:
    page = text(Client().get(AT))
    assert WHY in page
    assert not speaks_of_the_console(page)
    console = text(Client().get("/admin/login/?next=/admin/"))
    assert WHY not in console
    assert speaks_of_the_console(console), "the check finds what it looks for"


def test_where_anybody_may_create_it_says_no_such_thing(settings: Settings) -> None:
    settings.CREATE_REQUIRES_LOGIN = False
    assert WHY not in text(Client().get(AT))


@pytest.mark.usefixtures("carla")
def test_one_sentence_for_all_that_is_wrong() -> None:
    User.objects.create_user("walter", password=PASSWORD)
    User.objects.create_user("lena", password=PASSWORD, is_staff=True, is_active=False)
    said = set()
    for name, password in (
        *(("nobody", PASSWORD), ("carla", "wrong")),
        *(("walter", PASSWORD), ("lena", PASSWORD)),
    ):
        answer = send(Client(), name, password)
        page = text(answer)
        assert answer.status_code == 200
        assert WHY in page
        assert not speaks_of_the_console(page)
        said.add(page.partition('class="errornote"')[2].partition("</p>")[0])
    assert len(said) == 1
    assert "The name or the password is wrong" in said.pop()


@pytest.mark.usefixtures("carla")
def test_after_signing_in_it_is_the_page_that_creates() -> None:
    client = Client()
    answer = send(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    again = client.get(AT)
    assert (again.status_code, again.headers["Location"]) == (302, "/")
    console = client.get("/admin/login/?next=/admin/")
    assert (console.status_code, console.headers["Location"]) == (302, "/admin/")


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example/", "https://evil.example/", "/\\evil.example"]
)
@pytest.mark.usefixtures("carla")
def test_it_leads_to_no_other_site(elsewhere: str) -> None:
    fields = {"username": "carla", "password": PASSWORD, "next": elsewhere}
    answer = Client().post("/admin/login/", fields)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")

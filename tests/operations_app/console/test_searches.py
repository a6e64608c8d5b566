"""A search of any list, however long: SQLite takes no condition of a thousand words."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import User

from fugata_core.access_tokens import new_access_token
from fugata_core.admin.search import MAX_WORDS
from repositories_app.models import AccessToken, RepositorySecret
from secrets_app import ids
from tests.repositories_app.support import REPOSITORY, opened, people, token_of
from tests.secrets_app.support import share
from tests.support.clients.operators import Admin, person, text

pytestmark = pytest.mark.django_db

LONG = " ".join(["name"] * 1500)


@pytest.fixture
def root() -> Admin:
    admin.autodiscover()  # as the first visitor of the console does
    return Admin(person("root", superuser=True))


def test_a_search_of_many_words(root: Admin) -> None:
    models = [model._meta for model in admin.site._registry]
    assert len(models) > 5
    for each in models:
        found = root.get(f"{each.app_label}/{each.model_name}/", q=LONG)
        assert found.status_code == 200, each.label


def test_what_fields_complete(root: Admin) -> None:
    field = {"app_label": "repositories_app", "model_name": "accesstoken", "field_name": "user"}
    assert root.get("autocomplete/", term=LONG, **field).status_code == 200


def test_the_first_words_count(root: Admin) -> None:
    """A word in quotes may have spaces."""
    person("ada b")
    for words, found in (
        ('"ada b" ' * MAX_WORDS + "x", True),
        ('"ada b" ' * (MAX_WORDS - 1) + "x", False),
        ('"a b" ad', True),
    ):
        assert ("ada b" in text(root.get("auth/user/", q=words)).partition("results")[2]) == found


def rows(visitor: Admin, model: str, words: str) -> int:
    """Return how many rows a search finds."""
    page = text(visitor.get(f"{model}/", q=words))
    found = re.search(r"(\d+) results?\b", page)
    assert found, page
    return int(found[1])


@pytest.mark.parametrize("before", ["", "https://secrets.example.com/s/"])
def test_no_search_finds_what_a_label_cuts(root: Admin, before: str) -> None:
    """Letter by letter, and in any case, as lists compare."""
    secret = ids.new_share_id()
    share(label=f"{before}{secret}")
    for term in (secret, secret[:5], secret[:5].upper()):
        assert rows(root, "secrets_app/share", f"{before}{term}") == 0
    assert rows(root, "secrets_app/share", (before or "fu")[:5]) == 1


def test_no_search_finds_it_elsewhere(root: Admin) -> None:
    """In rows of releases before, which did not refuse it."""
    people()
    secret = new_access_token()
    columns = {"wrapped_key": b"1", "key_id": "test", "value_name": "v", "size": 1}
    place = {"repository_id": opened(REPOSITORY).id, "secret_key": secret}
    RepositorySecret.objects.create(**columns, **place)
    User.objects.filter(username="alice").update(email=f"{secret}@example.org")
    AccessToken.objects.update(label=secret)
    for model in ("repositories_app/repositorysecret", "auth/user", "secrets_app/share"):
        assert rows(root, model, secret[:6]) == 0, model
        assert rows(root, model, secret) == 0, model


def test_a_whole_token_finds_itself_and_what_it_did(root: Admin) -> None:
    """Whoever found one pastes it; the page gives no more of it than its beginning."""
    people()
    token = token_of("alice")
    for term in (token, token[:10], token[:6]):
        assert rows(root, "repositories_app/accesstoken", term) == 1, term
    assert rows(root, "audit_app/auditevent", token) == rows(
        root, "audit_app/auditevent", token[:10]
    )
    assert rows(root, "audit_app/auditevent", token) >= 1
    other = f"{token[:10]}{new_access_token()[10:]}"
    assert rows(root, "repositories_app/accesstoken", other) == 1, "only the beginning is known"

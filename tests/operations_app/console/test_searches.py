"""A search of any list, however long: SQLite takes no condition of a thousand words."""

import pytest
from django.contrib import admin

from fugata_core.admin.search import MAX_WORDS
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

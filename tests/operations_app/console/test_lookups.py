"""What the address of a list may ask the database for: what the list offers, and nothing else."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit_app.actors import SERVICE
from fugata_core.admin.lists import MAX_VALUE
from fugata_core.errors import BadRequest
from repositories_app.actions.secrets import set_secret
from tests.repositories_app.support import opened, people, token_of
from tests.secrets_app.support import share
from tests.support.clients.operators import Admin, links, person, text

pytestmark = pytest.mark.django_db

LOOKUPS = ("", "__regex", "__iregex", "__startswith", "__exact", "__gt", "__isnull", "__in")
#: How each database writes a pattern.
PATTERN = re.compile(r"REGEXP|::text ~|[^<>=]~\*? ")
admin.autodiscover()  # as the first visitor of the console does
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)


@pytest.fixture
def auditor() -> User:
    """An auditor of an installation that has some of everything."""
    people()
    share(label="For the build")
    token_of("alice")
    set_secret(opened(), "KEY", "value", SERVICE)
    return person("ada", "auditor")


def place(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def paths(model: type[Model], hops: int) -> Iterator[str]:
    """Yield the lookups of every column of a model, and of those that relations lead to."""
    for field in model._meta.get_fields():
        if field.is_relation and field.related_model and hops:
            assert isinstance(field.related_model, type)
            yield from (f"{field.name}__{rest}" for rest in paths(field.related_model, hops - 1))
        yield field.name


def offered(visitor: Admin, model: type[Model]) -> set[str]:
    """Return the names in the links and forms of a list's filters, and its extra lookups."""
    page = text(visitor.client.get(place(model)))
    beside = page.partition('id="changelist-filter"')[2].partition("</nav>")[0]
    asked = [urlsplit(link).query for link in links(beside, place(model))]
    names = {name for query in asked for name, _ in parse_qsl(query)}
    extra: tuple[str, ...] = getattr(admin.site._registry[model], "extra_lookups", ())
    return names.union(re.findall(r'<input[^>]+ name="(\w+)"', beside), extra)


def request_of(user: User, model: type[Model], query: dict[str, str | list[str]]) -> HttpRequest:
    request = RequestFactory().get(place(model), query)
    request.user = user
    return request


def is_answered(model: type[Model], request: HttpRequest) -> bool:
    """Return whether a list is shown; any refusal but a BadRequest is raised."""
    try:
        list(admin.site._registry[model].get_changelist_instance(request).result_list)
    except BadRequest:
        return False
    return True


@each_model
def test_an_auditor_reads_no_column_by_guessing(auditor: User, model: type[Model]) -> None:
    allowed = offered(Admin(auditor), model)
    names = {f"{path}{lookup}" for path in paths(model, 2) for lookup in LOOKUPS}
    assert len(names) > 20
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answered = {
            name for name in names if is_answered(model, request_of(auditor, model, {name: "a"}))
        }
    assert not [query["sql"] for query in queries if PATTERN.search(query["sql"])]
    assert answered <= allowed


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("auth/user/", "groups__user__password__regex"),
        ("auth/user/", "password__startswith"),
        ("auth/user/", "is_active__gt"),
        ("auth/group/", "user__password__regex"),
        ("auth/group/", "name__regex"),
        ("repositories_app/accesstoken/", "user__password__regex"),
        ("secrets_app/share/", "one_time"),
        ("auth/user/", "_to_field"),
        ("auth/user/", "_popup"),
        ("auth/user/", "_facets"),
        ("auth/user/", "e"),
    ],
)
def test_a_page_says_so(auditor: User, path: str, name: str) -> None:
    answer = Admin(auditor).get(path, **{name: "^a"})
    assert answer.status_code == 400
    assert "no filter of a name" in text(answer)
    assert f'href="/admin/{path}">Open the list again' in text(answer)


@each_model
def test_each_link_of_a_list_works(auditor: User, model: type[Model]) -> None:
    visitor = Admin(auditor)
    found = set(links(text(visitor.client.get(place(model))), place(model)))
    for link in found:
        if link.startswith(f"{place(model)}?"):
            assert visitor.client.get(link).status_code == 200, link


TEXTS = ("", "a", "^a", "1,1", "True", "\0", "x" * 10_000)
NUMBERS = ("-1", "2", "1.5", "9" * 40, "٣", "1.1" * 99)
MOMENTS = ("0001-01-01T00:00+23:59", "9999-12-31T23:59-23:59")


@each_model
def test_no_value_is_an_error_of_ours(auditor: User, model: type[Model]) -> None:
    """It is refused, or the list is filtered by it."""
    for name in (*offered(Admin(auditor), model), "o", "p", "all"):
        for value in (*TEXTS, *NUMBERS, *MOMENTS):
            is_answered(model, request_of(auditor, model, {name: value}))
        too_long = request_of(auditor, model, {name: "1" * (MAX_VALUE + 1)})
        assert not is_answered(model, too_long), name
        assert not is_answered(model, request_of(auditor, model, {name: ["1", "1"]})), name


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("auth/user/", "groups__id__exact", "a"),
        ("auth/user/", "groups__id__exact", "999"),
        ("auth/user/", "is_active__exact", "2"),
        ("secrets_app/share/", "state", "lost"),
        ("audit_app/auditevent/", "kind__exact", "nothing"),
        ("audit_app/auditevent/", "span", "year"),
        ("audit_app/auditevent/", "from", "yesterday"),
    ],
)
def test_no_list_is_shown_whole_instead(auditor: User, path: str, name: str, value: str) -> None:
    answer = Admin(auditor).get(path, **{name: value})
    assert answer.status_code == 400
    assert "has a value that it does not take" in text(answer)


def test_a_page_that_is_gone_is_the_first(auditor: User) -> None:
    for number in range(120):
        User.objects.create(username=f"many-{number}")
    page = text(Admin(auditor).get("auth/user/", p="99", q="many"))
    assert page.count("field-username") == 100


@each_model
def test_ids_that_none_has(model: type[Model]) -> None:
    root = Admin(person("root", superuser=True))
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    for odd in ("a", "\0", "9" * 40, "x" * 5000):
        for page in ("change", "history", "delete"):
            answer = root.client.get(reverse(f"{name}_{page}", args=[odd]))
            assert answer.status_code in (302, 403), (page, odd)
        for action in admin.site._registry[model].actions or ():
            chosen = {"action": str(action), "_selected_action": odd}
            answer = root.client.post(place(model), chosen)
            assert answer.status_code == 400, (action, odd)
            assert "is no row of the list" in text(answer)


def test_a_search_tells_nothing_that_is_not_shown(auditor: User) -> None:
    User.objects.create(username="lina", first_name="Paulina", password="md5$salt$abc")
    for term, found in (("lina", True), ("Paul", False), ("md5$", False), ("\0", False)):
        request = request_of(auditor, User, {})
        hits, _ = admin.site._registry[User].get_search_results(
            request, User.objects.filter(username="lina"), term
        )
        assert hits.exists() == found, term

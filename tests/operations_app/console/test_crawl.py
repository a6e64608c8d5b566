"""No page of the admin holds a value, an id, a link, a token, a wrapped key or a password's hash:
everything that a superuser can get to, by link or by form, is looked at.
"""

import base64
import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit_app.actors import SERVICE
from fugata_core import tokens
from operations_app import statistics
from repositories_app.actions.secrets import read_secret, set_secret
from repositories_app.models import AccessToken, Repository, RepositorySecret
from secrets_app.models import Share
from tests.repositories_app.support import OTHERS, REPOSITORY, opened, people, token_of
from tests.secrets_app.support import expire, share
from tests.support.clients.operators import Admin, links, person, text
from vault_app.models import KeyEncryptionKey, Sealed, StoredValue

pytestmark = pytest.mark.django_db

VALUE = "the-value-itself"
_WRITES = re.compile(r"\s*(WITH .*)?(INSERT|UPDATE|DELETE|REPLACE)\b", re.DOTALL)


@pytest.fixture
def root() -> Admin:
    admin.autodiscover()  # as the first visitor of the console does
    return Admin(person("root", superuser=True))


@pytest.fixture
def secrets() -> list[str]:
    """What must be on no page, of an installation that has some of everything."""
    people()
    shares = [share(f"{VALUE} {n}", label=f"label {n}", one_time=n != 1) for n in range(3)]
    expire(shares[2])
    tokens = [token_of("alice"), token_of("bob", repositories=[OTHERS], read_only=True)]
    for name in (REPOSITORY, OTHERS):
        set_secret(opened(name), "KEY", VALUE, SERVICE)
    read_secret(opened(), "KEY", SERVICE)
    statistics.count_hours()
    told = [VALUE, *tokens, *(token[4:] for token in tokens)]
    for created in shares:
        told += [created.share_id[4:], created.deletion_token[4:]]
    return told + list(_kept())


def _kept() -> Iterator[str]:
    """Yield what the tables keep and nobody is to see, as hex and as base64."""
    hidden = [bytes(row.check_value) for row in KeyEncryptionKey.objects.all()]
    hidden += [bytes(row.deletion_digest) for row in Share.objects.all()]
    hidden += [bytes(row.digest) for row in AccessToken.objects.all()]
    hidden += [bytes(row.sealed) for row in StoredValue.objects.all()]
    sealed: list[Sealed] = [*Share.objects.all(), *RepositorySecret.objects.all()]
    hidden += [bytes(row.wrapped_key) for row in sealed]
    for secret in hidden:
        yield from (secret.hex(), base64.b64encode(secret).decode(), repr(secret))
    yield from (row.value_name for row in sealed)


def addresses() -> Iterator[str]:
    """Yield every page of every model and object, linked or not."""
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield from (reverse(f"{name}_changelist"), reverse(f"{name}_add"))
        for row in model._base_manager.all():
            for page in ("change", "history", "delete"):
                yield reverse(f"{name}_{page}", args=[row.pk])


def crawled(visitor: Admin) -> dict[str, str]:
    """Return every page that can be got to, by its address."""
    waiting = ["/admin/", "/admin/health/", "/admin/password_change/", *addresses()]
    pages: dict[str, str] = {}
    while waiting:
        address = waiting.pop()
        if address in pages or "logout" in address:
            continue
        answer = visitor.client.get(address)
        assert answer.status_code in (200, 302, 403), (address, answer.status_code)
        pages[address] = text(answer)
        found = list(links(pages[address], address))
        # Of lists that are filtered or sorted already, no further combinations.
        waiting += [link for link in found if "?" not in link or "?" not in address]
    return pages


def leaks(pages: dict[str, str], secrets: list[str]) -> list[tuple[str, str]]:
    return [(at, secret) for at, page in pages.items() for secret in secrets if secret in page]


def test_every_page(root: Admin, secrets: list[str]) -> None:
    user = User.objects.get(username="root")
    pages = crawled(root)
    assert len(pages) > 100
    assert "label 1" in pages["/admin/secrets_app/share/"]
    hashed = user.password.split("$")
    session = root.client.cookies["admin"].value
    assert leaks(pages, [*secrets, hashed[-1], hashed[-2], session]) == []


def test_no_link_changes_anything(root: Admin, secrets: list[str]) -> None:
    """The session's cookie comes along with a link on another site (SameSite=Lax)."""
    with CaptureQueriesContext(connection) as queries:
        crawled(root)
    written = {one["sql"] for one in queries.captured_queries if _WRITES.match(one["sql"])}
    assert {one for one in written if "django_session" not in one} == set()
    assert any("django_session" in one for one in written), "each request prolongs the session"


def test_every_action(root: Admin, secrets: list[str]) -> None:
    """What asks first, what is said afterwards, and what is left in history and session."""
    pages = {}
    models = sorted(admin.site._registry, key=lambda model: model is Repository)
    for model in models:
        model_admin = admin.site._registry[model]
        place = f"{model._meta.app_label}/{model._meta.model_name}"
        numbers = list(model._base_manager.values_list("pk", flat=True))
        for action in model_admin.actions or ():
            pages[f"{action} {place}"] = text(root.act(place, str(action), *numbers))
            answer = root.act(place, str(action), *numbers, confirmed="yes")
            assert answer.status_code == 302
            pages[f"{action}, done, {place}"] = text(root.get(f"{place}/"))
    pages["purge"] = text(root.client.post("/admin/purge/", follow=True))
    assert not Share.objects.exists()
    assert not Repository.objects.exists()
    assert len(pages) == 9
    assert leaks(pages, secrets) == []
    left = [entry.object_repr + entry.change_message for entry in LogEntry.objects.all()]
    left += [str(row.get_decoded()) for row in Session.objects.all()]
    assert leaks({str(n): one for n, one in enumerate(left)}, secrets) == []


def test_a_new_token_is_in_one_answer_alone(root: Admin) -> None:
    people()
    alice = User.objects.get(username="alice")
    answer = root.post("repositories_app/accesstoken/add/", user=alice.pk, label="CI")
    page = text(answer)
    token = page.partition('value="fgt_')[2].partition('"')[0]
    assert tokens.digest(f"fgt_{token}") == bytes(AccessToken.objects.get().digest)
    assert "no-store" in answer.headers["Cache-Control"]
    assert leaks(crawled(root), [token]) == []
    left = [entry.object_repr + entry.change_message for entry in LogEntry.objects.all()]
    left += [str(row.get_decoded()) for row in Session.objects.all()]
    assert len(left) >= 2
    assert leaks({str(n): one for n, one in enumerate(left)}, [token]) == []

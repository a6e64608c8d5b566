"""Forms of our own pages are taken, forms of other sites are not, though neither says where."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def _post(**headers: str) -> int:
    client = Client(enforce_csrf_checks=True)
    token = client.get("/").context["csrf_token"]
    form = {"content": "s", "duration": "1h", "csrfmiddlewaretoken": str(token)}
    return client.post("/", form, headers=headers).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null", "sec-fetch-site": "same-origin"},
        {"origin": "null"},  # plain HTTP: a browser says no more
        {"origin": "http://testserver"},
        {},
    ],
)
def test_a_form_of_ours_is_taken(headers: dict[str, str]) -> None:
    assert _post(**headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
    ],
)
def test_a_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    assert _post(**headers) == 403


def test_the_token_is_compared_whatever_the_origin() -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/")
    form = {"content": "kept", "duration": "1h", "csrfmiddlewaretoken": "x" * 64}
    answer = client.post("/", form, headers={"origin": "null", "sec-fetch-site": "same-origin"})
    assert answer.status_code == 403
    assert "kept" in answer.content.decode()

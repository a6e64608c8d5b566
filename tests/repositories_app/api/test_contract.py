"""The documented operations, to the letter (docs/api.md)."""

import json
from collections.abc import Callable

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from fugata_core.access_tokens import new_access_token
from secrets_app.ids import new_deletion_token, new_share_id
from tests.repositories_app.support import REPOSITORY, Api, content, happened, row, token_of
from tests.secrets_app.support import texts

pytestmark = pytest.mark.django_db

LONGEST = "k" * 253


def test_set_answers_201_with_an_empty_body(api: Api) -> None:
    for value in ("supersecretvalue123", "another"):
        answer = api.set("MY_API_KEY", value)
        assert (answer.status_code, content(answer)) == (201, None)
        assert content(api.read("MY_API_KEY")) == {"secret_value": value}


def test_the_list_is_a_sorted_array_of_keys(api: Api) -> None:
    assert content(api.list()) == []
    keys = ["b", "a", "A", "_", "-x", "a.b", "Z9", "10", "9", ".env"]
    for key in keys:
        api.set(key, "v")
    answer = api.list()
    assert (answer.status_code, content(answer)) == (200, sorted(keys))
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"


def test_read(api: Api) -> None:
    api.set("MY_API_KEY", "v")
    answer = api.read("MY_API_KEY")
    assert answer.status_code == 200
    assert content(answer) == {"secret_value": "v"}
    assert answer["Cache-Control"] == "no-store"
    assert content(api.read("OTHER")) == {"error": "Secret not found"}
    assert api.read("OTHER").status_code == 404


def test_remove(api: Api) -> None:
    api.set("MY_API_KEY", "v")
    answer = api.remove("MY_API_KEY")
    assert (answer.status_code, content(answer)) == (204, None)
    assert api.read("MY_API_KEY").status_code == 404
    again = api.remove("MY_API_KEY")
    assert (again.status_code, content(again)) == (404, {"error": "Secret not found"})
    assert content(api.list()) == []
    assert api.set("MY_API_KEY", "new").status_code == 201
    assert content(api.read("MY_API_KEY")) == {"secret_value": "new"}


def test_head_reads_no_value(api: Api) -> None:
    api.set("MY_API_KEY", "v")
    answers = (api.head("MY_API_KEY"), api.send("HEAD", api.place), api.head("OTHER"))
    assert [each.status_code for each in answers] == [200, 200, 404]
    assert not any(answer.getvalue() for answer in answers)
    assert "read" not in happened()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "Malformed JSON: the body must be one JSON object in UTF-8"),
        (b"{", "Malformed JSON: the body must be one JSON object in UTF-8"),
        ([], "Malformed JSON: the body must be one JSON object in UTF-8"),
        ({"secret_value": "v"}, "Invalid secret_key: required, a string that is not empty"),
        ({"secret_key": "k"}, "Invalid secret_value: required, a string that is not empty"),
        ({"secret_key": 1, "secret_value": "v"}, "Invalid secret_key: required, a string"),
        ({"secret_key": "k", "secret_value": None}, "Invalid secret_value: required, a string"),
        ({"secret_key": "k", "secret_value": ""}, "Invalid secret_value: must not be empty"),
        ({"secret_key": "", "secret_value": "v"}, "Invalid secret_key: must be 1 to 253 of"),
        (b'{"secret_key": "k", "secret_value": "\\udc00"}', "Invalid secret_value: a lone surr"),
    ],
)
def test_what_is_malformed(api: Api, body: object, sentence: str) -> None:
    answer = api.send("POST", api.place, body)
    assert answer.status_code == 400
    assert content(answer)["error"].startswith(sentence)
    assert content(api.list()) == []


@pytest.mark.parametrize("key", ["a/b", "a b", ".", "..", "..a", "a\0", "ä", "k" * 254, "a%2Fb"])
def test_keys_that_nothing_may_be_called(api: Api, key: str) -> None:
    answer = api.set(key, "v")
    assert answer.status_code == 400
    assert "1 to 253 of the characters" in content(answer)["error"]
    from urllib.parse import quote

    for response in (api.read(quote(key, safe="")), api.remove(quote(key, safe=""))):
        assert response.status_code == 404
        assert set(content(response)) == {"error"}


@pytest.mark.parametrize("key", [LONGEST, ".a", "a..", ".env", "-", "_", "0"])
def test_keys_at_the_edge(api: Api, key: str) -> None:
    assert api.set(key, "v").status_code == 201
    assert content(api.read(key)) == {"secret_value": "v"}
    assert api.remove(key).status_code == 204


@pytest.mark.parametrize("name", ["no/such", "a b", "ä", "%00", "x" * 101, "%2e%2e", "..%2f"])
def test_repositories_that_nothing_is_called(members: None, name: str) -> None:
    api = Api(token_of("alice"), repository=name)
    for answer in (api.list(), api.read("k"), api.set("k", "v"), api.remove("k")):
        assert answer.status_code == 404
        assert set(content(answer)) == {"error"}


@given(value=texts)
def test_any_text_comes_back(api: Api, value: str) -> None:
    assert api.set("k", value).status_code == 201
    assert content(api.read("k")) == {"secret_value": value}


@given(body=st.binary(max_size=200) | st.dictionaries(st.text(), st.integers()).map(json.dumps))
def test_no_body_is_a_500(api: Api, body: object) -> None:
    data = body if isinstance(body, bytes) else str(body).encode()
    assert api.send("POST", api.place, data).status_code in (400, 201)


def test_sizes(api: Api, settings: Settings) -> None:
    settings.MAX_SECRET_SIZE = 10
    for value, status in (("x" * 10, 201), ("x" * 11, 413), ("ä" * 5, 201), ("ä" * 6, 413)):
        assert api.set("k", value).status_code == status
    assert content(api.set("k", "x" * 11)) == {"error": "Secret exceeds maximum size of 10 bytes"}


def test_other_methods_and_media_types(api: Api) -> None:
    for method, path, allowed in (
        ("PUT", api.place, "GET, HEAD, POST"),
        ("DELETE", api.place, "GET, HEAD, POST"),
        ("POST", f"{api.place}/k", "DELETE, GET, HEAD"),
        ("OPTIONS", f"{api.place}/k", "DELETE, GET, HEAD"),
        ("PATCH", f"{api.place}/k", "DELETE, GET, HEAD"),
    ):
        answer = api.send(method, path)
        assert answer.status_code == 405
        assert sorted(answer["Allow"].split(", ")) == sorted(allowed.split(", "))
        assert content(answer) == {"error": "Method not allowed"}
    form = Client().post(
        api.place, {"secret_key": "k"}, headers={"authorization": f"Bearer {token_of('alice')}"}
    )
    assert form.status_code == 415


def test_unknown_places(api: Api) -> None:
    for path in ("/repositories", "/repositories/", f"/repositories/{REPOSITORY}", api.place + "/"):
        answer = api.send("GET", path)
        assert (answer.status_code, content(answer)) == (404, {"error": "Not found"})


def test_unknown_fields_are_passed_over(api: Api) -> None:
    body = {"secret_key": "k", "secret_value": "v", "more": {"nested": []}}
    assert api.send("POST", api.place, body).status_code == 201


def test_what_the_row_tells(api: Api) -> None:
    api.set("k", "äöü")
    first = row("k")
    assert first.size == 6
    api.set("k", "v")
    second = row("k")
    assert second.created_at == first.created_at
    assert second.updated_at >= first.updated_at
    assert second.value_name != first.value_name
    assert bytes(second.wrapped_key) != bytes(first.wrapped_key)


@pytest.mark.parametrize("make", [new_access_token, new_share_id, new_deletion_token])
def test_a_key_with_the_form_of_a_secret(api: Api, make: Callable[[], str]) -> None:
    """Key and value are swapped: keys are listed, and are not encrypted."""
    secret = make()
    for key in (secret, f"x-{secret}", secret[:24]):
        answer = api.set(key, "NAME")
        assert answer.status_code == 400
        assert "Are secret_key and secret_value swapped?" in content(answer)["error"]
        assert secret[10:] not in content(answer)["error"]
    assert content(api.list()) == []
    assert api.set("NAME", secret).status_code == 201
    assert content(api.read("NAME")) == {"secret_value": secret}

"""DELETE /secrets/{id} (docs/api.md: "Delete")."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from secrets_app import ids
from tests.secrets_app.api.conftest import Post
from tests.secrets_app.api.support import assert_error, assert_json, assert_unopened

pytestmark = pytest.mark.django_db

Made = dict[str, str]


@pytest.fixture
def made(post: Post) -> Made:
    """A one-time share."""
    fields: Made = post(one_time=True).json()
    return fields


@pytest.fixture
def delete(client: Client) -> Callable[..., Any]:
    def send(share_id: str, authorization: str | None) -> Any:
        headers = {} if authorization is None else {"authorization": authorization}
        return client.delete(f"/secrets/{share_id}", headers=headers)

    return send


Delete = Callable[..., Any]


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_right_token(client: Client, made: Made, delete: Delete, scheme: str) -> None:
    answer = delete(made["id"], scheme + made["deletion_token"])
    assert answer.status_code == 200
    assert answer.json() == {"message": "Secret deleted successfully"}
    assert_json(answer)
    assert_error(client.get(f"/secrets/{made['id']}"), 404, "Secret not found")
    again = delete(made["id"], scheme + made["deletion_token"])
    assert_error(again, 404, "Secret not found")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic eDp5",
        "tok_" + "a" * 22,
        "Bearer a b",
        "Bearer tok_" + "a" * 22,
        "Bearer " + "a" * 5000,
        "Bearer \xff",
        "Token x",
        "Bearertok_" + "a" * 22,
    ],
)
def test_no_a_malformed_or_a_wrong_token(
    client: Client, made: Made, delete: Delete, authorization: str | None
) -> None:
    answer = delete(made["id"], authorization)
    assert_error(answer, 401, "Unauthorized")
    assert answer["WWW-Authenticate"] == "Bearer"
    assert_unopened(client, made["id"])


@pytest.mark.parametrize("authorization", [None, "Bearer", "Basic eDp5"])
def test_without_a_token_nobody_learns_what_is_there(
    delete: Delete, authorization: str | None
) -> None:
    assert_error(delete(ids.new_share_id(), authorization), 401, "Unauthorized")


def test_what_is_not_there(delete: Delete) -> None:
    token = f"Bearer {ids.new_deletion_token()}"
    for share_id in (ids.new_share_id(), "x", "fug_%00"):
        assert_error(delete(share_id, token), 404, "Secret not found")


def test_what_was_opened(client: Client, made: Made, delete: Delete) -> None:
    client.get(f"/secrets/{made['id']}")
    answer = delete(made["id"], f"Bearer {made['deletion_token']}")
    assert_error(answer, 404, "Secret not found")


def test_who_guesses(
    client: Client, made: Made, delete: Delete, frozen_guesses: Callable[[float], None]
) -> None:
    for _ in range(30):
        assert delete(made["id"], f"Bearer {ids.new_deletion_token()}").status_code == 401
    answer = delete(made["id"], f"Bearer {ids.new_deletion_token()}")
    assert_error(answer, 429, "Rate limit exceeded")
    assert int(answer["Retry-After"]) >= 1
    assert_error(delete(made["id"], "Bearer malformed"), 401, "Unauthorized")
    assert delete(made["id"], f"Bearer {made['deletion_token']}").status_code == 200

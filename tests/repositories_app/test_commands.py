"""The operator's commands: a sentence for people, one JSON object for scripts."""

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from repositories_app.models import AccessToken, Membership, Repository
from tests.repositories_app.support import Api, content

pytestmark = pytest.mark.django_db


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def result(*arguments: str) -> Any:
    return json.loads(said(*arguments, "--json"))


def test_from_nothing_to_a_secret() -> None:
    assert result("create_repository", "my-repo", "--owner", "alice") == {
        "repository": "my-repo",
        "owner": "alice",
    }
    assert not User.objects.get(username="alice").has_usable_password()
    api = Api(result("create_access_token", "alice")["token"], "my-repo")
    assert api.set("k", "v").status_code == 201
    assert content(api.read("k")) == {"secret_value": "v"}


def test_the_token_alone_for_a_shell() -> None:
    said("create_repository", "r", "--owner", "alice")
    token = said("create_access_token", "alice").strip()
    assert Api(token, "r").list().status_code == 200


def test_all_that_a_token_can_be() -> None:
    said("create_repository", "r", "--owner", "alice")
    said("create_repository", "s", "--owner", "alice")
    made = result(
        "create_access_token", "alice", "--repository", "r", "--read-only", "--expires", "90d",
        "--label", "CI",
    )  # fmt: skip
    assert set(made) == {"token", "id", "expires_at"}
    (listed,) = result("list_access_tokens")["tokens"]
    assert listed | {"prefix": ""} == {
        "id": made["id"],
        "prefix": "",
        "user": "alice",
        "label": "CI",
        "state": "live",
        "read_only": True,
        "repositories": ["r"],
        "expires_at": made["expires_at"],
        "last_used_at": None,
    }
    assert Api(made["token"], "r").list().status_code == 200
    assert Api(made["token"], "s").list().status_code == 404
    assert Api(made["token"], "r").set("k", "v").status_code == 403


def test_revoke() -> None:
    said("create_repository", "r", "--owner", "alice")
    made = result("create_access_token", "alice")
    with pytest.raises(CommandError, match="no access token with id 999"):
        said("revoke_access_token", str(made["id"]), "999")
    assert Api(made["token"], "r").list().status_code == 200
    assert result("revoke_access_token", str(made["id"])) == {"revoked": 1}
    assert Api(made["token"], "r").list().status_code == 401
    assert result("list_access_tokens", "--user", "alice")["tokens"][0]["state"] == "revoked"
    assert result("list_access_tokens", "--user", "bob")["tokens"] == []


def test_members() -> None:
    said("create_repository", "r", "--owner", "alice")
    assert result("set_member", "r", "bob", "--role", "reader")["role"] == "reader"
    assert result("set_member", "r", "bob", "--role", "writer")["role"] == "writer"
    assert result("list_repositories")["repositories"] == [
        {"repository": "r", "secrets": 0, "members": {"alice": "owner", "bob": "writer"}}
    ]
    said("set_member", "r", "bob", "--remove")
    assert Membership.objects.count() == 1
    with pytest.raises(CommandError, match="bob is no member of r"):
        said("set_member", "r", "bob", "--remove")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create_repository", "a/b", "--owner", "x"), "1 to 100 of the characters"),
        (("create_repository", "", "--owner", "x"), "1 to 100 of the characters"),
        (("create_repository", "there", "--owner", "x"), "There is a repository there already"),
        (("create_repository", "new", "--owner", "x" * 151), "1 to 150 characters"),
        (("create_repository", "new"), "--owner"),
        (("create_access_token", "nobody"), "There is no user 'nobody'"),
        (("create_access_token", "alice", "--repository", "none"), "no repository 'none'"),
        (("create_access_token", "alice", "--expires", "soon"), "for instance 90d"),
        (("create_access_token", "alice", "--expires", "0d"), "for instance 90d"),
        (("set_member", "none", "alice", "--role", "reader"), "no repository 'none'"),
        (("set_member", "there", "alice", "--role", "boss"), "invalid choice"),
    ],
)
def test_wrong_words(arguments: tuple[str, ...], sentence: str) -> None:
    said("create_repository", "there", "--owner", "alice")
    with pytest.raises(CommandError, match=sentence):
        said(*arguments)
    assert Repository.objects.count() == 1
    assert AccessToken.objects.count() == 0


def test_the_lists_name_no_token() -> None:
    assert said("list_repositories") == "There are no repositories yet.\n"
    assert said("list_access_tokens") == "There are no access tokens.\n"
    said("create_repository", "r", "--owner", "alice")
    token = said("create_access_token", "alice").strip()
    for shown in (said("list_access_tokens"), said("list_access_tokens", "--json")):
        assert token[:10] in shown
        assert token[:11] not in shown
    assert "alice (owner)" in said("list_repositories")


def test_a_repository_and_its_token_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no token can be made, no repository stands in the way of the next try."""
    module = "repositories_app.management.commands.create_repository"

    def fail(*_: object) -> None:
        raise DatabaseError("injected")

    monkeypatch.setattr(f"{module}.create_access_token", fail)
    with pytest.raises(DatabaseError):
        said("create_repository", "my-repo", "--owner", "alice", "--token")
    monkeypatch.undo()
    made = result("create_repository", "my-repo", "--owner", "alice", "--token")
    assert Api(made["token"], "my-repo").list().status_code == 200


@pytest.mark.parametrize("name", ["eve\x1b[31m", "eve\nroot", "eve\x7f", "eve\x9b", "eve\u202e"])
def test_a_name_that_a_terminal_obeys(name: str) -> None:
    """It is refused, and what another program wrote is shown as in JSON."""
    with pytest.raises(CommandError, match="all of them printable"):
        said("create_repository", "r", "--owner", name)
    said("create_repository", "r", "--owner", "alice")
    said("create_access_token", "alice")
    with pytest.raises(CommandError, match="all of them printable"):
        said("set_member", "r", name, "--role", "reader")
    User.objects.update(username=name)
    for command in ("list_repositories", "list_access_tokens"):
        (line,) = said(command).split("\n")[:-1]
        assert line.replace("\t", "").isprintable()
        assert said(command, "--json").strip().isprintable()
    assert result("list_access_tokens")["tokens"][0]["user"] == name
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="is no member") as raised:
        said("set_member", "r", f"{name}\x1b", "--remove")
    assert str(raised.value).isprintable()
    assert said("set_member", "r", name, "--remove").replace("\n", "").isprintable()

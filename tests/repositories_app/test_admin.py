"""Repositories, members, secrets' keys and tokens in the admin: made and unmade by operators."""

import re

import pytest
from django.contrib.auth.models import Group, User

from audit_app.actors import SERVICE
from audit_app.models import AuditEvent
from repositories_app.actions.secrets import set_secret
from repositories_app.models import AccessToken, Membership, Repository, RepositorySecret
from tests.repositories_app.support import OTHERS, REPOSITORY, Api, content, opened, token_of
from tests.support.clients.operators import Admin, person, text
from tests.support.in_process.doubles import MemoryStore
from vault_app.models import StoredValue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("members")]

REPOSITORIES, SECRETS, TOKENS = (
    "repositories_app/repository",
    "repositories_app/repositorysecret",
    "repositories_app/accesstoken",
)


@pytest.fixture
def operator() -> Admin:
    return Admin(person("olga", "operator"))


@pytest.fixture
def auditor() -> Admin:
    return Admin(person("ada", "auditor"))


def number(name: str) -> int:
    return User.objects.get(username=name).pk


def done_by_olga() -> list[tuple[str, str]]:
    events = AuditEvent.objects.filter(username="olga").order_by("pk")
    return list(events.values_list("kind", "subject"))


# --- Tokens ---------------------------------------------------------------------------------------


def new_token(visitor: Admin, **fields: object) -> str:
    """Make a token with the form and return it, as the answer shows it."""
    page = text(visitor.post(f"{TOKENS}/add/", **fields))
    found = re.findall(r"fgt_[0-9A-Za-z]{36}", page)
    assert len(found) == 1, page
    return str(found[0])


def test_a_token_from_the_form_to_the_api(operator: Admin) -> None:
    token = new_token(operator, user=number("alice"), label="CI")
    assert Api(token).set("KEY", "value").status_code == 201
    row = AccessToken.objects.get()
    assert (row.label, row.read_only, row.narrowed, row.expires_at) == ("CI", False, False, None)
    assert done_by_olga() == [("token created", f"{token[:10]} of alice")]
    assert token not in text(operator.get(f"{TOKENS}/"))


def test_all_that_a_token_can_be(operator: Admin) -> None:
    chosen = [Repository.objects.get(name=REPOSITORY).pk]
    token = new_token(
        operator, user=number("rita"), repositories=chosen, read_only="on", expires="90d"
    )
    row = AccessToken.objects.get()
    assert row.narrowed
    assert row.read_only
    assert row.expires_at
    assert (row.expires_at - row.created_at).days in (89, 90)
    assert Api(token).list().status_code == 200
    assert Api(token).set("KEY", "value").status_code == 403


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"user": ""}, "This field is required"),
        ({"user": "999"}, "no such user, or they are not active"),
        ({"expires": "soon"}, "for instance 90d"),
        ({"expires": "0d"}, "for instance 90d"),
        ({"repositories": ["999"]}, "Select a valid choice"),
        ({"label": "x" * 201}, "at most 200 characters"),
    ],
)
def test_a_form_that_is_not_right(
    operator: Admin, fields: dict[str, object], sentence: str
) -> None:
    page = text(operator.post(f"{TOKENS}/add/", **({"user": number("alice")} | fields)))
    assert sentence in page
    assert AccessToken.objects.count() == 0


def test_revoking_a_token(operator: Admin) -> None:
    token, other = token_of("alice"), token_of("alice")
    row = AccessToken.objects.get(prefix=token[:10])
    assert "gets a 401" in text(operator.act(TOKENS, "revoke", row.pk))
    assert Api(token).list().status_code == 200
    operator.act(TOKENS, "revoke", row.pk, confirmed="yes")
    assert Api(token).list().status_code == 401
    assert Api(other).list().status_code == 200
    assert done_by_olga() == [("token revoked", f"{token[:10]} of alice")]
    assert "revoked" in text(operator.get(f"{TOKENS}/{row.pk}/change/"))


def test_a_token_is_never_changed(operator: Admin) -> None:
    token_of("alice", read_only=True)
    row = AccessToken.objects.get()
    answer = operator.post(f"{TOKENS}/{row.pk}/change/", read_only="", label="x", user="1")
    assert answer.status_code == 403
    row.refresh_from_db()
    assert row.read_only


def test_an_auditor_makes_and_revokes_nothing(auditor: Admin) -> None:
    token = token_of("alice")
    row = AccessToken.objects.get()
    assert auditor.get(f"{TOKENS}/").status_code == 200
    assert auditor.post(f"{TOKENS}/add/", user=number("alice")).status_code == 403
    auditor.act(TOKENS, "revoke", row.pk, confirmed="yes")
    assert Api(token).list().status_code == 200
    assert AccessToken.objects.count() == 1


# --- Repositories and members ---------------------------------------------------------------------


def test_making_a_repository(operator: Admin) -> None:
    answer = operator.post(f"{REPOSITORIES}/add/", name="new-repo", owner="nora")
    made = Repository.objects.get(name="new-repo")
    assert answer.headers["Location"] == f"/admin/{REPOSITORIES}/{made.pk}/change/"
    assert not User.objects.get(username="nora").has_usable_password()
    assert Api(token_of("nora"), "new-repo").list().status_code == 200
    assert done_by_olga() == [("repo created", ""), ("member set", "nora: owner")]


@pytest.mark.parametrize(
    ("name", "owner", "sentence"),
    [
        ("a/b", "nora", "1 to 100 of the characters"),
        (REPOSITORY, "nora", "There is a repository alices-repo already"),
        ("new-repo", "", "This field is required"),
        ("new-repo", "x" * 151, "at most 150 characters"),
        ("new-repo", "eve\x1b[31m\nroot", "all of them printable"),
    ],
)
def test_a_repository_that_cannot_be(operator: Admin, name: str, owner: str, sentence: str) -> None:
    assert sentence in text(operator.post(f"{REPOSITORIES}/add/", name=name, owner=owner))
    assert Repository.objects.count() == 2


def members_form(*rows: tuple[int | str, str, str, bool]) -> dict[str, object]:
    """Return the fields of the members' form: number of the row, user, role, whether it goes."""
    before = sum(1 for pk, *_ in rows if pk)
    fields: dict[str, object] = {
        "memberships-TOTAL_FORMS": len(rows),
        "memberships-INITIAL_FORMS": before,
        "_save": "Save",
    }
    repository = Repository.objects.get(name=REPOSITORY).pk
    for at, (pk, username, role, goes) in enumerate(rows):
        row = {"id": pk, "username": username, "role": role, "repository": repository}
        fields |= {f"memberships-{at}-{name}": value for name, value in row.items()}
        fields |= {f"memberships-{at}-DELETE": "on"} if goes else {}
    return fields


def member(username: str) -> int:
    return Membership.objects.get(user__username=username, repository__name=REPOSITORY).pk


def roles() -> dict[str, str]:
    members = Membership.objects.filter(repository__name=REPOSITORY)
    return dict(members.values_list("user__username", "role"))


def test_giving_changing_and_taking_roles(operator: Admin) -> None:
    place = f"{REPOSITORIES}/{Repository.objects.get(name=REPOSITORY).pk}/change/"
    fields = members_form(
        (member("alice"), "alice", "owner", False),
        (member("rita"), "rita", "writer", False),
        (member("wendy"), "wendy", "writer", True),
        ("", "nora", "reader", False),
        ("", "", "reader", False),
    )
    assert operator.post(place, **fields).status_code == 302
    assert roles() == {"alice": "owner", "rita": "writer", "nora": "reader"}
    assert done_by_olga() == [
        ("member set", "rita: writer"),
        ("member removed", "wendy"),
        ("member set", "nora: reader"),
    ]


def test_no_member_has_a_name_that_a_terminal_obeys(operator: Admin) -> None:
    place = f"{REPOSITORIES}/{Repository.objects.get(name=REPOSITORY).pk}/change/"
    page = operator.post(place, **members_form(("", "eve\x1b[31m\nroot", "reader", False)))
    assert "all of them printable" in text(page)
    assert not User.objects.filter(username__startswith="eve").exists()


def test_a_row_is_of_the_same_user_whatever_is_sent(operator: Admin) -> None:
    place = f"{REPOSITORIES}/{Repository.objects.get(name=REPOSITORY).pk}/change/"
    operator.post(place, **members_form((member("rita"), "charlie", "owner", False)))
    assert roles() == {"alice": "owner", "rita": "owner", "wendy": "writer"}


def test_an_auditor_sees_members_and_changes_none(auditor: Admin) -> None:
    place = f"{REPOSITORIES}/{Repository.objects.get(name=REPOSITORY).pk}/change/"
    assert "wendy" in text(auditor.get(place))
    fields = members_form((member("rita"), "rita", "owner", False))
    assert auditor.post(place, **fields).status_code == 403
    assert roles()["rita"] == "reader"


def test_deleting_a_repository(operator: Admin, remote_store: MemoryStore) -> None:
    for name in (REPOSITORY, OTHERS):
        set_secret(opened(name), "KEY", "value", SERVICE)
    row = Repository.objects.get(name=REPOSITORY)
    assert "deleted with their values" in text(
        operator.act(REPOSITORIES, "delete_with_secrets", row.pk)
    )
    assert len(remote_store.values) == 2
    operator.act(REPOSITORIES, "delete_with_secrets", row.pk, confirmed="yes")
    assert len(remote_store.values) == 1
    assert list(Repository.objects.values_list("name", flat=True)) == [OTHERS]
    assert done_by_olga() == [("removed", ""), ("repo deleted", "")]


def test_there_is_no_other_way_to_delete_one(operator: Admin) -> None:
    row = Repository.objects.get(name=REPOSITORY)
    root = Admin(person("root", superuser=True))
    for visitor in (operator, root):
        answer = visitor.post(f"{REPOSITORIES}/{row.pk}/delete/", post="yes")
        assert answer.status_code == 403
        visitor.act(REPOSITORIES, "delete_selected", row.pk, post="yes")
    assert Repository.objects.count() == 2


# --- Secrets' keys --------------------------------------------------------------------------------


def test_keys_are_listed_and_removed_with_their_values(operator: Admin) -> None:
    for key in ("ONE", "TWO"):
        set_secret(opened(), key, "value", SERVICE)
    page = text(operator.get(f"{SECRETS}/", repository__name=REPOSITORY))
    assert "ONE" in page
    assert "TWO" in page
    row = RepositorySecret.objects.get(secret_key="ONE")
    assert "gets a 404" in text(operator.act(SECRETS, "remove", row.pk))
    operator.act(SECRETS, "remove", row.pk, confirmed="yes")
    api = Api(token_of("alice"))
    assert content(api.list()) == ["TWO"]
    assert StoredValue.objects.count() == 1
    assert done_by_olga() == [("removed", "")]


def test_values_that_stay_for_a_while_are_told_of(
    operator: Admin, remote_store: MemoryStore
) -> None:
    for key in ("ONE", "TWO", "THREE"):
        set_secret(opened(), key, "value", SERVICE)
    one, two, _ = RepositorySecret.objects.order_by("pk")
    operator.act(SECRETS, "remove", one.pk, confirmed="yes")
    assert "still has" not in text(operator.get(f"{SECRETS}/"))
    remote_store.failing = {"delete"}
    operator.act(SECRETS, "remove", two.pk, confirmed="yes")
    assert "still has 1 of their values" in text(operator.get(f"{SECRETS}/"))
    operator.act(REPOSITORIES, "delete_with_secrets", one.repository_id, confirmed="yes")
    assert "still has 1 of their values" in text(operator.get(f"{REPOSITORIES}/"))


@pytest.mark.django_db(transaction=True)
def test_no_remote_store_is_asked_inside_a_transaction(remote_store: MemoryStore) -> None:
    root = Admin(person("root", superuser=True))
    for key in ("ONE", "TWO"):
        set_secret(opened(), key, "value", SERVICE)
    row = RepositorySecret.objects.get(secret_key="ONE")
    root.act(SECRETS, "remove", row.pk, confirmed="yes")
    root.act(REPOSITORIES, "delete_with_secrets", row.repository_id, confirmed="yes")
    assert remote_store.values == {}
    assert not any(remote_store.inside_a_transaction)


def test_an_auditor_removes_nothing(auditor: Admin) -> None:
    set_secret(opened(), "ONE", "value", SERVICE)
    row = RepositorySecret.objects.get()
    assert "ONE" in text(auditor.get(f"{SECRETS}/"))
    auditor.act(SECRETS, "remove", row.pk, confirmed="yes")
    assert RepositorySecret.objects.count() == 1


@pytest.mark.parametrize("page", ["add/", "{}/delete/", "{}/change/"])
def test_nobody_writes_values_here(page: str) -> None:
    set_secret(opened(), "ONE", "value", SERVICE)
    row = RepositorySecret.objects.get()
    root = Admin(person("root", superuser=True))
    fields = {"repository": row.repository_id, "secret_key": "TWO", "value_name": "x"}
    assert root.post(f"{SECRETS}/{page.format(row.pk)}", **fields).status_code == 403
    assert list(RepositorySecret.objects.values_list("secret_key", flat=True)) == ["ONE"]


# --- Accounts -------------------------------------------------------------------------------------


def test_the_groups_and_what_they_may_do() -> None:
    may = {
        group.name: set(group.permissions.values_list("codename", flat=True))
        for group in Group.objects.all()
    }
    assert set(may) == {"auditor", "operator"}
    assert all(name.startswith("view_") for name in may["auditor"])
    assert may["operator"] - may["auditor"] == {
        "revoke_share",
        "purge_share",
        "add_repository",
        "change_repository",
        "delete_repository",
        "add_membership",
        "change_membership",
        "delete_membership",
        "remove_repositorysecret",
        "add_accesstoken",
        "revoke_accesstoken",
    }
    assert may["auditor"] < may["operator"]


@pytest.mark.parametrize("group", ["auditor", "operator"])
def test_nobody_makes_themselves_more_than_they_are(group: str) -> None:
    user = person("eve", group)
    visitor = Admin(user)
    page = text(visitor.get(f"auth/user/{user.pk}/change/"))
    assert "eve" in page
    assert "pbkdf2" not in page
    for path in (
        f"auth/user/{user.pk}/change/",
        f"auth/user/{user.pk}/password/",
        "auth/user/add/",
        f"auth/group/{Group.objects.get(name=group).pk}/change/",
        "auth/group/add/",
    ):
        assert visitor.post(path, is_superuser="on", username="eve").status_code == 403, path
    user.refresh_from_db()
    assert not user.is_superuser


def test_a_user_on_whom_something_hangs_is_deactivated_not_deleted() -> None:
    """Deleting would take tokens and roles along, and nobody would have said so."""
    root = Admin(person("root", superuser=True))
    token = token_of("alice")
    assert root.post(f"auth/user/{number('alice')}/delete/", post="yes").status_code == 403
    assert root.post(f"auth/user/{number('charlie')}/delete/", post="yes").status_code == 302
    assert not User.objects.filter(username="charlie").exists()
    assert Api(token).list().status_code == 200
    User.objects.filter(username="alice").update(is_active=False)
    assert Api(token).list().status_code == 401


def test_a_user_with_a_history_keeps_it(operator: Admin) -> None:
    """Django would delete the entries of the history along with who made them."""
    root = Admin(person("root", superuser=True))
    operator.post(f"{REPOSITORIES}/add/", name="new-repo", owner="nora")
    assert root.post(f"auth/user/{number('olga')}/delete/", post="yes").status_code == 403
    assert User.objects.filter(username="olga").exists()


def test_what_is_done_to_accounts_is_in_the_trail() -> None:
    root = Admin(person("root", superuser=True))
    group = Group.objects.get(name="operator")
    passwords = {"password1": "battery horse staple", "password2": "battery horse staple"}
    root.post("auth/user/add/", username="nora", usable_password="true", **passwords)
    nora = number("nora")
    day = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    root.post(f"auth/user/{nora}/change/", username="nora", is_staff="on", groups=group.pk, **day)
    root.post(f"auth/user/{nora}/password/", usable_password="true", **passwords)
    root.post(f"auth/group/{group.pk}/change/", name="operator")
    root.post(f"auth/user/{nora}/delete/", post="yes")
    changed = AuditEvent.objects.filter(kind="account changed", username="root").order_by("pk")
    assert list(changed.values_list("subject", flat=True)) == [
        "user nora",
        "user nora",
        "user nora, password",
        "group operator",
        "user nora, deleted",
    ]

"""Somebody who may write to the namespace moves values about: none opens in another's place."""

import pytest

from audit_app.actors import SERVICE
from fugata_core import tokens
from fugata_core.errors import InternalError
from repositories_app.actions.secrets import read_secret, set_secret
from repositories_app.models import RepositorySecret
from secrets_app.actions.reveal import reveal_share
from secrets_app.errors import DecryptFailed
from tests.repositories_app.support import OTHERS, REPOSITORY, happened, opened, people
from tests.secrets_app.support import kinds, replace_value, row_of, share
from tests.support.servers.kubernetes import Json, KubernetesServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("kubernetes_namespace")]


def swap(kubernetes: KubernetesServer, namespace: str, one: str, other: str) -> None:
    """Let two objects change their names, with all that is in them."""
    by_name = {item["metadata"]["name"]: item for item in kubernetes.secrets(namespace)}
    pair = [f"fugata-{one}", f"fugata-{other}"]
    for name in pair:
        kubernetes.delete_secret(namespace, name)
    for name, source in zip(pair, reversed(pair), strict=True):
        metadata: Json = {"name": name, "labels": by_name[source]["metadata"]["labels"]}
        manifest = {"metadata": metadata, "data": by_name[source]["data"], "immutable": True}
        kubernetes.create(f"/api/v1/namespaces/{namespace}/secrets", manifest)


def test_the_values_of_two_shares(kubernetes: KubernetesServer, kubernetes_namespace: str) -> None:
    mine, other = share("mine"), share("other")
    names = row_of(mine).value_name, row_of(other).value_name
    swap(kubernetes, kubernetes_namespace, *names)
    for created in (mine, other):
        with pytest.raises(DecryptFailed):
            reveal_share(created.share_id, SERVICE)
        assert kinds(tokens.digest(created.share_id)) == ["created", "open failed"]
    swap(kubernetes, kubernetes_namespace, *names)
    assert reveal_share(mine.share_id, SERVICE).content == b"mine"


def test_a_value_that_is_damaged(kubernetes_namespace: str) -> None:
    created = share("s3cret")
    replace_value(created, lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(DecryptFailed):
        reveal_share(created.share_id, SERVICE)
    assert kinds(tokens.digest(created.share_id)) == ["created", "open failed"]


PLACES = {
    "another key": ((REPOSITORY, "a"), (REPOSITORY, "b")),
    "another repository": ((REPOSITORY, "a"), (OTHERS, "a")),
}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("how", ["objects", "pointers"])
def test_the_values_of_two_repository_secrets(
    kubernetes: KubernetesServer, kubernetes_namespace: str, where: str, how: str
) -> None:
    """Objects that change their names, or rows that change their objects."""
    people()
    for repository, key in PLACES[where]:
        set_secret(opened(repository), key, f"{repository} {key}", SERVICE)
    rows = [
        RepositorySecret.objects.get(repository__name=r, secret_key=k) for r, k in PLACES[where]
    ]
    names = [row.value_name for row in rows]
    if how == "objects":
        swap(kubernetes, kubernetes_namespace, *names)
    else:
        for row, other in zip(rows, reversed(rows), strict=True):
            moved = RepositorySecret.objects.filter(pk=row.pk)
            moved.update(value_name=other.value_name, wrapped_key=other.wrapped_key)
    for repository, key in PLACES[where]:
        with pytest.raises(InternalError):
            read_secret(opened(repository), key, SERVICE)
        assert happened(repository=repository, secret_key=key) == ["set", "read failed"]

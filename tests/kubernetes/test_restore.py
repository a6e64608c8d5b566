"""A back-up of values in the database is restored into Kubernetes, or refused as a whole."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from pytest_django.fixtures import Settings

from audit_app.actors import SERVICE
from operations_app.backups import rows
from secrets_app.actions.create import CreatedShare
from secrets_app.actions.reveal import reveal_share
from tests.secrets_app.support import share
from tests.support.servers.kubernetes import KubernetesServer
from vault_app.models import Installation

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

DATABASE = {"BACKEND": "vault_app.stores.database.DatabaseStore", "OPTIONS": {}}


def run(*arguments: str) -> None:
    call_command(*arguments, stdout=StringIO(), stderr=StringIO())


def backed_up(settings: Settings, file: Path, *contents: str) -> list[CreatedShare]:
    """Have these shares in a back-up whose values were in the database, and nowhere else."""
    kubernetes = settings.VALUE_STORE
    settings.VALUE_STORE = DATABASE
    made = [share(content, one_time=False) for content in contents]
    run("backup", str(file))
    settings.VALUE_STORE = kubernetes
    kept = ("vault_app_keyencryptionkey",)
    with transaction.atomic():
        rows.delete_all([each for each in rows.tables() if each._meta.db_table not in kept])
    return made


def test_values_move(kubernetes_namespace: str, settings: Settings, tmp_path: Path) -> None:
    (made,) = backed_up(settings, tmp_path / "b.tar", "small")
    run("restore", str(tmp_path / "b.tar"))
    assert reveal_share(made.share_id, SERVICE).content == b"small"


def test_one_that_is_too_long_moves_none(
    kubernetes: KubernetesServer, kubernetes_namespace: str, settings: Settings, tmp_path: Path
) -> None:
    """Before anything is written: what is here stays as it is, and is found as before."""
    backed_up(settings, tmp_path / "b.tar", "small", "x" * (2**20 + 1))
    mine = share("the live installation's", one_time=False)
    identity, objects = Installation.identity(), kubernetes.names(kubernetes_namespace)
    with pytest.raises(CommandError, match="1 value of more than 1 MiB was kept"):
        run("restore", str(tmp_path / "b.tar"), "--force")
    assert Installation.identity() == identity
    assert kubernetes.names(kubernetes_namespace) == objects
    assert reveal_share(mine.share_id, SERVICE).content == b"the live installation's"

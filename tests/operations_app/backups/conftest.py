"""Something to back up: a share for one reader, one for many, two repository secrets, a trail."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection, models, transaction

from audit_app.actors import SERVICE
from audit_app.seal import seal_events
from repositories_app.actions.secrets import read_secret, set_secret
from secrets_app.actions.create import CreatedShare
from secrets_app.actions.reveal import reveal_share
from tests.repositories_app.support import OTHERS, Api, content, opened, people, token_of
from tests.secrets_app.support import share
from tests.support.in_process.fixtures import nothing_is_being_deleted

__all__ = ["nothing_is_being_deleted"]


@dataclass
class Everything:
    """What was put in, and how to see that it is there."""

    once: CreatedShare
    many: CreatedShare
    token: str

    def assert_kept(self, *, one_time: bool) -> None:
        """Read it all again."""
        assert reveal_share(self.many.share_id, SERVICE).content == b"for many"
        if one_time:
            assert reveal_share(self.once.share_id, SERVICE).content == b"for one"
        for key, value in (("A", b"value a"), ("B", b"value b")):
            assert read_secret(opened(), key, SERVICE) == value
        assert content(Api(self.token).list()) == ["A", "B"]


@pytest.fixture
def fill() -> Callable[[], Everything]:
    """Return what fills the installation (a fixture of the test chooses the store first)."""

    def filled() -> Everything:
        people()
        everything = Everything(
            once=share("for one", label="a label"),
            many=share("for many", one_time=False),
            token=token_of("alice"),
        )
        set_secret(opened(), "A", "value a", SERVICE)
        set_secret(opened(), "B", "value b", SERVICE)
        list(seal_events())
        share("after sealing")
        return everything

    return filled


@pytest.fixture
def many(fill: Callable[[], Everything]) -> Everything:
    """Twenty rows and more, so that one is not a tenth."""
    everything = fill()
    for number in range(20):
        set_secret(opened(OTHERS), f"more-{number}", "value", SERVICE)
    return everything


@pytest.fixture
def wipe() -> Callable[[], None]:
    """Return what makes the database as empty as a new one."""

    def wiped() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for model in reversed(_models()):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")

    return wiped


def _models() -> list[type[models.Model]]:
    apart = ("contenttypes", "auth.permission", "auth.group")
    found = apps.get_models(include_auto_created=True)
    return [m for m in found if not m._meta.label_lower.startswith(apart)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the test's back-up goes."""
    return tmp_path / "backup.tar"

"""A head that is not kept: lost, or where it belongs nothing can be written."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.chain import Head
from audit_app.errors import HeadUnavailable, TrailWentBack
from audit_app.heads import head_store
from audit_app.heads.file import FileHead
from audit_app.models import AuditEvent
from audit_app.prune import prune_events
from audit_app.seal import seal_events
from audit_app.tasks import seal_audit_events
from tests.audit_app.support import edit, events, sealed

pytestmark = pytest.mark.django_db
KEPT = AuditEvent.objects


@pytest.fixture
def head_file(settings: Settings, tmp_path: Path) -> Path:
    """The file of the head, for this test alone."""
    path = tmp_path / "head"
    settings.AUDIT_HEAD = settings.AUDIT_HEAD | {"OPTIONS": {"path": path}}
    return path


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("audit_app.heads.file.replace_file", refuse)


def sealed_but_not_kept(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal events, and have the disk full before their head is kept; leave it so."""
    events(count)
    sealing = seal_events()
    next(sealing)
    full_disk(monkeypatch)
    with pytest.raises(HeadUnavailable, match="No space left"):
        sealing.close()


def test_nothing_is_sealed_while_the_head_cannot_be_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else what is sealed meanwhile could be unsealed, changed, and sealed anew."""
    kept = sealed(2)
    sealed_but_not_kept(3, monkeypatch)
    edit(4, username="mallory")
    KEPT.filter(position__gt=2).update(position=None, mac=None)
    with pytest.raises(HeadUnavailable):
        seal_audit_events()
    assert "nothing is sealed until it is: AUDIT_HEAD_PATH" in caplog.text
    assert KEPT.filter(position=None).count() == 3
    assert head_store().read() == kept


def test_it_goes_on_when_the_head_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(2)
    with monkeypatch.context() as patched:
        sealed_but_not_kept(3, patched)
        events(1)
        with pytest.raises(HeadUnavailable):
            list(seal_events())
        assert chain.head().position == 5
    assert [head.position for head in seal_events()] == [6]
    assert head_store().read() == chain.head()


def test_a_head_that_never_could_be_kept(head_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once in the trail, however often it is tried."""
    sealed(3)
    head_file.unlink()
    with monkeypatch.context() as patched:
        full_disk(patched)
        for _ in range(3):
            with pytest.raises(HeadUnavailable):
                list(seal_events())
        assert chain.head().position == 3
        assert KEPT.filter(kind="head reset", position=None).count() == 1
    list(seal_events())
    assert KEPT.get(kind="head reset").position == 4


def test_a_lost_head_is_said_in_the_trail(
    head_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = sealed(3)
    head_file.unlink()
    list(seal_events())
    assert KEPT.get(kind="head reset").subject == f"none to {head}"
    assert "had no head: the trail goes on from 3:" in caplog.text
    assert head_store().read() == chain.head()
    assert chain.head().position == 4


def test_pruning_says_it_too(head_file: Path) -> None:
    """It keeps a head before it prunes: the sealer would find it, and say nothing."""
    sealed(3)
    head_file.unlink()
    prune_events(timedelta(days=8))
    assert KEPT.filter(kind="head reset", subject__startswith="none to 3:").exists()


def test_what_changed_between_two_looks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the one that keeps the head, and the one under the sealer's lock."""
    old = sealed(4)
    sealed(2)
    head_store().replace(old)
    ours = FileHead.keep

    def keep(store: FileHead, head: Head) -> None:
        ours(store, head)
        KEPT.filter(position__gt=5).update(position=None, mac=None)

    monkeypatch.setattr(FileHead, "keep", keep)
    with pytest.raises(TrailWentBack):
        list(seal_events())

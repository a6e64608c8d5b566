"""The head outside the database: who writes to that alone can't have the trail sealed anew."""

import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db.models import DateTimeField, F, Value
from pytest_django.fixtures import Settings

from audit_app import chain
from audit_app.chain import GENESIS_MAC, Head
from audit_app.errors import HeadUnavailable, NotSealed, TrailWentBack
from audit_app.heads import head_store
from audit_app.heads.file import FileHead
from audit_app.models import AuditEvent, AuditStub
from audit_app.prune import prune_events
from audit_app.seal import seal_events
from audit_app.tasks import seal_audit_events
from audit_app.verify import verify
from fugata_core.files import file_lock
from tests.audit_app.support import edit, events, sealed
from tests.audit_app.test_command import audit

SIZE = 8
KEPT = AuditEvent.objects


def unseal(**which: object) -> None:
    KEPT.filter(**which).update(position=None, mac=None)


def delete(**which: object) -> None:
    KEPT.filter(**which).delete()


def remove_one_and_unseal_the_rest() -> None:
    delete(position=3)
    unseal(position__gt=3)


def change_one_and_unseal_from_there() -> None:
    edit(3, username="mallory")
    unseal(position__gte=3)


def unseal_all_and_change_one() -> None:
    edit(1, kind="read")
    unseal()


def back_to_an_older_database() -> None:
    delete(position__gt=SIZE - 2)
    events(3)


def move_the_end_down() -> None:
    """The last event keeps its HMAC, at an earlier position."""
    delete(position__lt=SIZE)
    KEPT.filter(position=SIZE).update(position=F("position") - SIZE + 1)


ATTACKS: dict[str, Callable[[], None]] = {
    "one removed, the rest unsealed": remove_one_and_unseal_the_rest,
    "one changed, unsealed from there": change_one_and_unseal_from_there,
    "all unsealed, one changed": unseal_all_and_change_one,
    "the end cut off": lambda: delete(position__gt=SIZE - 2),
    "the last unsealed": lambda: unseal(position=SIZE),
    "everything removed": delete,
    "an older database": back_to_an_older_database,
    "the end moved down": move_the_end_down,
}


@pytest.mark.django_db
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_was_sealed_is_not_sealed_anew(attack: Callable[[], None]) -> None:
    head = sealed(SIZE)
    attack()
    events(1)
    before = list(KEPT.order_by("pk").values_list("pk", "position"))
    with pytest.raises(TrailWentBack, match=f"position {SIZE} was sealed"):
        list(seal_events())
    assert list(KEPT.order_by("pk").values_list("pk", "position")) == before
    with pytest.raises(CommandError, match="does not verify"):
        audit("verify")
    assert head_store().read() == head


@pytest.mark.django_db
def test_the_task_fails_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    sealed(SIZE)
    remove_one_and_unseal_the_rest()
    with pytest.raises(TrailWentBack):
        seal_audit_events()
    assert f"the audit trail is not sealed: position {SIZE} was sealed" in caplog.text


@pytest.mark.django_db
def test_a_stub_made_anew_is_no_way_round() -> None:
    """Without the audit key nobody makes one, and an old one hides nothing of what came after."""
    sealed(SIZE, age=timedelta(days=9))
    prune_events(timedelta(days=8))
    stub = AuditStub.objects.get()
    head = sealed(3)
    delete()
    assert chain.head().position == stub.through
    events(1)
    with pytest.raises(TrailWentBack):
        list(seal_events())
    for through in (SIZE + 3, SIZE + 4):  # with what the database had: but the proof needs the key
        AuditStub.objects.create(
            through=through, mac=head.mac, proof=stub.proof, newest_at=stub.newest_at
        )
        events(1)
        with pytest.raises(TrailWentBack):
            list(seal_events())


@pytest.mark.django_db
def test_a_head_that_lags_behind_is_no_step_back() -> None:
    """The sealer was killed between its commit and keeping the head; or another machine sealed."""
    old = sealed(2)
    sealed(3, age=timedelta(days=9))
    head_store().replace(old)
    assert sealed(1).position == 6
    assert audit("verify").startswith("6 events verified. Head: 6:")
    head_store().replace(old)
    prune_events(timedelta(0))
    assert chain.head().position == 6
    assert sealed(1).position == 7
    assert head_store().read() == chain.head()


@pytest.mark.django_db
def test_a_head_that_was_not_kept_is_kept_by_the_next_run() -> None:
    """Though nothing is to be sealed: or the last events could be unsealed for as long."""
    old, new = sealed(2), sealed(1)
    head_store().replace(old)
    assert list(seal_events()) == []
    assert head_store().read() == new


@pytest.mark.django_db
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_it_is_noticed_though_nothing_is_to_be_sealed(attack: Callable[[], None]) -> None:
    sealed(SIZE)
    attack()
    KEPT.filter(position=None).delete()
    with pytest.raises(NotSealed):
        list(seal_events())


@pytest.mark.django_db
def test_a_genuine_stub_of_another_trail_is_no_way_round() -> None:
    """From before a restore, of what was sealed then and is kept no more."""
    sealed(SIZE)
    first = list(KEPT.order_by("pk"))
    prune_events(timedelta(0))
    stub = AuditStub.objects.get()
    AuditStub.objects.all().delete()
    KEPT.bulk_create(first[:4])
    assert audit("reset-head").startswith("The trail goes on from 4:")
    delete()
    stub.save(force_insert=True)
    with pytest.raises(TrailWentBack):
        list(seal_events())
    with pytest.raises(CommandError, match="only what is kept is pruned"):
        audit("verify")
    assert audit("reset-head").startswith("The trail goes on from 8:"), "which is an event"
    assert KEPT.get(subject__endswith=f"to 8:{bytes(stub.mac).hex()}").position == 9


@pytest.mark.django_db
def test_no_clock_of_the_database_prunes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes to it may have it tell another time."""
    sealed(SIZE)
    future = Value(datetime.now(UTC) + timedelta(days=999), DateTimeField())
    monkeypatch.setattr(
        "django.db.models.functions.Now.as_sql",
        lambda now, *given, **more: future.as_sql(*given, **more),
    )
    assert prune_events(timedelta(days=30)) == 0


@pytest.mark.django_db
def test_one_that_was_pruned_is_not_said_to_be_compared() -> None:
    old = sealed(2)
    sealed(3)
    prune_events(timedelta(0))
    said = audit("verify", "--head", str(old))
    assert "Position 2 is pruned: that head was not compared." in said
    assert "given" not in said


ODD: dict[str, dict[str, object]] = {
    "an id below zero": {"id": -7},
    "a moment before 1970": {"at": datetime(1950, 1, 1, tzinfo=UTC)},
}


@pytest.mark.django_db
@pytest.mark.parametrize("columns", ODD.values(), ids=ODD)
def test_a_row_that_is_not_ours(columns: dict[str, object]) -> None:
    """It is an answer, never an exception."""
    sealed(2)
    events(1)
    KEPT.filter(position=None).update(**columns)
    with pytest.raises(NotSealed, match="Fugata did not write the event"):
        list(seal_events())
    KEPT.filter(position=None).delete()
    KEPT.filter(position=2).update(**columns)
    problem = verify().problem
    assert problem
    assert "the event at position 2 was changed" in problem


@pytest.mark.django_db
def test_a_reset_whose_event_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(SIZE)
    back_to_an_older_database()
    ours = head_store().replace

    def replace(store: FileHead, head: Head) -> None:
        ours(head)
        KEPT.filter(kind="head reset").delete()

    monkeypatch.setattr(FileHead, "replace", replace)
    with pytest.raises(CommandError, match="The event of this reset is not sealed"):
        audit("reset-head")


@pytest.mark.django_db
def test_a_reset_that_fails_is_no_reset(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its event is there once, however often it is tried, and the log says nothing of it."""
    sealed(2)
    missing = {"OPTIONS": {"path": tmp_path / "none" / "head"}}
    settings.AUDIT_HEAD = settings.AUDIT_HEAD | missing
    for _ in range(3):
        with pytest.raises(CommandError, match="No such file"):
            audit("reset-head")
    assert KEPT.filter(kind="head reset").count() == 1
    assert "head was reset" not in caplog.text


@pytest.mark.django_db
def test_verify_says_with_what_it_compared(settings: Settings, tmp_path: Path) -> None:
    settings.AUDIT_HEAD = settings.AUDIT_HEAD | {"OPTIONS": {"path": tmp_path / "head"}}
    events(2)
    said = audit("verify")
    assert f"There was no published head to compare with ({tmp_path}/head has none)" in said
    head = audit("seal")
    assert audit("verify").endswith(
        f"It has the published heads: the one at position 2 that {tmp_path}/head keeps."
    )
    assert "at position 2 that was given" in audit("verify", "--head", head)
    (tmp_path / "head").write_text("nonsense")
    with pytest.raises(CommandError, match="has no head of the trail in it"):
        audit("verify")
    with pytest.raises(CommandError, match="has no head of the trail in it"):
        audit("seal")


@pytest.mark.django_db
def test_two_heads_of_one_position_are_both_compared() -> None:
    head = sealed(3)
    other = Head(3, bytes(32))
    for published in ([head, other], [other, head], [other]):
        problem = verify(published).problem
        assert problem == "the chain at position 3 is not the one that was published"
    assert verify([head, Head(0, GENESIS_MAC)]).problem is None
    assert verify([Head(0, bytes(31) + b"1")]).problem


@pytest.mark.django_db
def test_a_reset_is_an_event(caplog: pytest.LogCaptureFixture) -> None:
    head = sealed(SIZE)
    back_to_an_older_database()
    now = chain.head()
    said = audit("reset-head")
    assert said.startswith(f"The trail goes on from {now} (kept before: {head}).")
    event = KEPT.get(kind="head reset")
    assert (event.username, event.subject) == ("command line", f"{head} to {now}")
    assert event.position == SIZE + 2
    assert f"audit head {chain.head()}" in caplog.text, "it is published"
    assert verify().problem is None
    assert audit("reset-head").startswith("Nothing to reset")
    assert KEPT.filter(kind="head reset").count() == 1


@pytest.mark.django_db
def test_a_broken_trail_is_not_the_one_to_go_on_from() -> None:
    sealed(SIZE)
    delete(position=3)
    delete(position=SIZE)
    with pytest.raises(CommandError, match=r"Nothing was reset: .* position 3 was removed"):
        audit("reset-head")
    assert not KEPT.filter(kind="head reset").exists()


@pytest.mark.django_db
def test_a_head_that_cannot_be_read_is_reset(settings: Settings, tmp_path: Path) -> None:
    settings.AUDIT_HEAD = settings.AUDIT_HEAD | {"OPTIONS": {"path": tmp_path / "head"}}
    sealed(2)
    (tmp_path / "head").write_text("nonsense")
    assert "(none was kept before)" in audit("reset-head")
    assert KEPT.get(kind="head reset").subject.startswith("none to 2:")
    assert chain.head().position == 3


# --- The file -----------------------------------------------------------------------------------


def at(position: int) -> Head:
    return Head(position, bytes([position % 256]) * 32)


def test_a_file_keeps_the_latest(tmp_path: Path) -> None:
    store = FileHead(tmp_path / "head")
    assert store.read() is None
    for position in (3, 5, 4):
        store.keep(at(position))
    assert store.read() == at(5)
    assert (tmp_path / "head").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"head", "head.lock"}
    store.replace(at(2))
    assert store.read() == at(2)


def test_releases_before_appended_heads(tmp_path: Path) -> None:
    lines = "".join(f"2026-01-01T00:00:00Z {at(n)}\n" for n in range(1, 200))
    (tmp_path / "head").write_text(lines)
    assert FileHead(tmp_path / "head").read() == at(199)


@pytest.mark.parametrize("text", ["x", "1:00\n", "2026-01-01T00:00:00Z\n", "\0" * 9000])
def test_what_is_no_head(tmp_path: Path, text: str) -> None:
    (tmp_path / "head").write_text(text)
    with pytest.raises(HeadUnavailable, match="reset-head"):
        FileHead(tmp_path / "head").read()


def test_a_lock_that_another_process_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is its owner's alone: no other user can hang the worker with it."""
    monkeypatch.setattr("audit_app.heads.file._PATIENCE", 0.1)
    head, lock = tmp_path / "head", tmp_path / "head.lock"
    with file_lock(head, 0):
        assert lock.stat().st_mode & 0o777 == 0o600
        with pytest.raises(HeadUnavailable, match="can't be written"):
            FileHead(tmp_path / "head").keep(at(1))
    FileHead(tmp_path / "head").keep(at(1))


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(HeadUnavailable, match="No such file"):
        FileHead(tmp_path / "none" / "head").read()
    with pytest.raises(HeadUnavailable, match=r"AUDIT_HEAD_PATH: .*can't be written"):
        FileHead(tmp_path / "none" / "head").keep(at(1))
    with pytest.raises(HeadUnavailable, match=r"AUDIT_HEAD_PATH: .*can't be read"):
        FileHead(tmp_path).read()


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("as it was")
    (tmp_path / "head").symlink_to(tmp_path / "other")
    FileHead(tmp_path / "head").replace(at(1))
    assert (tmp_path / "other").read_text() == "as it was"
    assert FileHead(tmp_path / "head").read() == at(1)


def _keep(path: Path, first: int, rounds: int) -> None:
    for position in range(first, first + 4 * rounds, 4):
        FileHead(path).keep(at(position))


def test_many_that_keep_at_once_never_go_back(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "head"
    fork = multiprocessing.get_context("fork")
    each = [fork.Process(target=_keep, args=(path, n, rounds)) for n in range(1, 5)]
    for process in each:
        process.start()
    seen = [0]
    while any(process.is_alive() for process in each):
        kept = FileHead(path).read()
        seen.append(kept.position if kept else 0)
    assert [process.exitcode for process in each] == [0] * 4
    assert seen == sorted(seen)
    assert FileHead(path).read() == at(4 * rounds)

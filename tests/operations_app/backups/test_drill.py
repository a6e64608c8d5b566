"""A restore beside an installation that still runs, with the same store: nothing of it goes."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from audit_app.actors import SERVICE
from repositories_app.actions.secrets import set_secret
from secrets_app.models import Share
from tests.operations_app.backups.archives import rewritten, signed
from tests.operations_app.backups.test_backup import Fill, Wipe, exit_of, said
from tests.repositories_app.support import opened, row
from tests.support.in_process.doubles import MemoryStore
from vault_app.errors import StoreUnavailable
from vault_app.models import Installation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("newer", [True, False])
def test_a_store_that_is_in_use_is_refused(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore, newer: bool
) -> None:
    """Whether or not anything was written since the back-up."""
    everything = fill()
    Installation.identity()  # as every store has, whose values carry it
    said("backup", str(file))
    if newer:
        set_secret(opened(), "NEW", "value", SERVICE)
    kept = dict(remote_store.values)
    wipe()  # an empty database; the live one is elsewhere
    mine = Installation.identity()
    status, why = exit_of("restore", str(file))
    assert status == 1
    assert why.startswith("Nothing was restored: The value store has")
    assert (remote_store.values, Installation.identity()) == (kept, mine)
    assert not Share.objects.exists()
    said("restore", str(file), "--force", "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_a_restore_that_broke_off_can_be_repeated(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore
) -> None:
    """The values that are there are its own."""
    everything = fill()
    said("backup", str(file))
    wipe()
    remote_store.values.clear()
    puts = iter(range(99))

    def refuse_the_third() -> None:
        if next(puts) == 2:
            raise StoreUnavailable("refused")

    remote_store.before = {"put": refuse_the_third}
    assert "refused" in exit_of("restore", str(file))[1]
    assert len(remote_store.values) == 2
    said("restore", str(file), "--keep-one-time")
    everything.assert_kept(one_time=True)


def test_a_store_that_can_not_be_asked_leaves_the_identity(
    fill: Fill, wipe: Wipe, file: Path, remote_store: MemoryStore
) -> None:
    fill()
    Installation.identity()
    said("backup", str(file))
    wipe()
    mine = Installation.identity()
    remote_store.failing = {"list"}
    assert exit_of("restore", str(file))[0] == 1
    assert Installation.identity() == mine


def test_an_older_back_up_with_a_value_that_was_cut_replaces_no_good_one(
    fill: Fill, file: Path, remote_store: MemoryStore
) -> None:
    everything = fill()
    said("backup", str(file))
    path, digest = f"values/repositories/{row('A').value_name}", sha256(b"cut").hexdigest()

    def cut(name: str, data: bytes) -> bytes:
        if name == "manifest.json":
            manifest = json.loads(data)
            manifest["digests"][path] = digest
            return json.dumps(manifest).encode()
        return b"cut" if name == path else data

    rewritten(file, cut)
    signed(file)
    said("restore", str(file), "--force", "--keep-one-time")
    everything.assert_kept(one_time=True)

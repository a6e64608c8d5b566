"""What a restore does to the trail: it goes back, which is said, and meant only by a command."""

from pathlib import Path

import pytest

from audit_app import chain
from audit_app.actors import COMMAND_LINE
from audit_app.errors import TrailWentBack
from audit_app.lookups import count_lookup
from audit_app.models import AuditEvent
from audit_app.refusals import count_refusal
from audit_app.seal import seal_events
from audit_app.verify import verify
from tests.operations_app.backups.archives import files_of, rewritten, with_digests
from tests.operations_app.backups.test_backup import Fill, counts, exit_of, said
from tests.secrets_app.support import share

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_that_goes_back_says_what_helps(fill: Fill, file: Path) -> None:
    fill()
    said("backup", str(file))
    share("after the back-up")
    list(seal_events())
    after = chain.head()
    assert "run manage.py audit reset-head" in said("restore", str(file), "--force")
    with pytest.raises(TrailWentBack):
        list(seal_events())
    said("audit", "reset-head")
    assert f"{after} to " in AuditEvent.objects.get(kind="head reset").subject
    list(seal_events())
    assert verify([chain.head()]).problem is None


def test_one_that_does_not_says_nothing(fill: Fill, file: Path) -> None:
    fill()
    said("backup", str(file))
    assert "reset-head" not in said("restore", str(file), "--force")
    assert list(seal_events())


ODD = [
    b"[]\n",
    b"1\n",
    b'{"id": {"bytes": 1}}\n',
    b'{"no_column": 1}\n',
    b'{"id": "x"}\n',
    b"\xff\n",
]


@pytest.mark.parametrize("rows", ODD)
def test_rows_that_are_none_restore_nothing(fill: Fill, file: Path, rows: bytes) -> None:
    """Of a file that nobody signed."""
    fill()
    said("backup", str(file))
    before = counts()
    rewritten(file, lambda name, data: rows if name == "rows/auth_user" else data)
    with_digests(file)
    status, text = exit_of("restore", str(file), "--force", "--without-signature")
    assert status == 1
    assert "Nothing was restored: " in text
    assert counts() == before


def test_counts_of_the_current_minute_are_not_in_it(fill: Fill, file: Path) -> None:
    fill()
    count_lookup(COMMAND_LINE, "repo")
    count_refusal(COMMAND_LINE)
    said("backup", str(file))
    assert not {"rows/audit_app_lookupcount", "rows/audit_app_refusalcount"} & files_of(file).keys()

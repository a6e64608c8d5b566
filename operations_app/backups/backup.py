"""Takes a back-up: hold deletions, read rows at one moment, then their values, release the hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from fugata_core.clock import iso
from fugata_core.commands import ProgressCallback
from operations_app.backups import rows, snapshot
from operations_app.backups.archive import Manifest, Writer
from operations_app.backups.renewal import in_good_time
from operations_app.backups.trail_key import require_key_of_trail
from operations_app.backups.values import (
    Gaps,
    Needs,
    Value,
    lacking_in_database,
    needed_values,
    whole_value,
)
from vault_app.backends import remote_store
from vault_app.deletion_hold import hold_deletions


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """Where a back-up is, and how many rows and values it holds.

    `gaps`: which rows lack their value in it.
    """

    file: Path
    rows: int
    values: int
    gaps: Gaps


def take_backup(
    target: Path,
    progress: ProgressCallback = lambda what, count: None,
    *,
    force: bool = False,
    any_key: bool = False,
) -> BackupSummary:
    """Back up everything but the keys; with `force`, write over a file that is there.

    `any_key`: sign it, though AUDIT_KEY is not the trail's. Raises AuditKeyChanged (nothing was
    written), StoreUnavailable, DeletionHoldLost, OSError (FileExistsError, if one came meanwhile).
    """
    if not any_key:
        require_key_of_trail()
    manifest = Manifest(
        made_at=iso(datetime.now(UTC)),
        migrations=snapshot.newest_migrations(),
        database=connection.vendor,
        store=str(settings.VALUE_STORE["BACKEND"]),
    )
    is_remote = remote_store() is not None
    with hold_deletions() as renew, Writer(target, manifest, force=force) as archive:
        with snapshot.consistent_snapshot():
            count, needs = _write_tables(archive, progress), Needs.now()
            values = list(needed_values()) if is_remote else []
            lacking = set() if is_remote else lacking_in_database()
        gone = _write_values(archive, values, in_good_time(renew), progress)
        gaps = needs.without(lacking | gone)
        archive.is_partial = gaps.is_partial
        renew()  # raises if the hold ran out, which discards the file
    return BackupSummary(archive.target, count, len(values) - len(gone), gaps)


def _write_tables(archive: Writer, progress: ProgressCallback) -> int:
    count = 0
    for model in rows.tables():
        count += archive.add_lines(rows.file_of(model), rows.dump(model))
        progress("rows", count)
    return count


def _write_values(
    archive: Writer,
    values: list[tuple[str, str, int]],
    renew_if_due: Callable[[], None],
    progress: ProgressCallback,
) -> set[Value]:
    """Write values, and return those that are not there, or not in their size."""
    lacking = set()
    for number, (app, name, size) in enumerate(values, start=1):
        if (sealed := whole_value(app, name, size)) is None:
            lacking.add((app, name))
        else:
            archive.add_bytes(f"values/{app}/{name}", sealed)
        renew_if_due()
        progress("values", number)
    return lacking

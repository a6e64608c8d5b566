"""Takes a back-up: hold deletions, read rows at one moment, then their values, release the hold."""

import itertools
import time
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
from operations_app.backups.values import absent_from_database, value_names
from vault_app import lost_values
from vault_app.backends import remote_store, value_store
from vault_app.deletion_hold import hold_deletions
from vault_app.errors import ValueMissing

#: Seconds between two renewals of the hold.
RENEW_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """Where a back-up is, and how many rows and values it holds.

    `missing`: rows whose value is gone without being marked as lost. Then the back-up is partial.
    """

    file: Path
    rows: int
    values: int
    missing: int


def partial_name(target: Path) -> Path:
    """Return a free name for a back-up that lacks values: none takes it for a whole one.

    An earlier one stays: it may have what this one lacks.
    """
    names = (f"{target.name}.partial{number or ''}" for number in itertools.count())
    return next(path for path in map(target.with_name, names) if not path.exists())


def take_backup(
    target: Path, progress: ProgressCallback = lambda what, count: None
) -> BackupSummary:
    """Back up everything but the keys. Raises StoreUnavailable, DeletionHoldLost, OSError."""
    manifest = Manifest(
        made_at=iso(datetime.now(UTC)),
        migrations=snapshot.newest_migrations(),
        database=connection.vendor,
        store=str(settings.VALUE_STORE["BACKEND"]),
    )
    is_remote = remote_store() is not None
    with hold_deletions() as renew, Writer(target, manifest) as archive:
        with snapshot.consistent_snapshot():
            count, lost = _write_tables(archive, progress), lost_values.marked_names()
            names = list(value_names()) if is_remote else []
            absent = set() if is_remote else absent_from_database()
        gone = _write_values(archive, names, renew, progress)
        missing = len((absent | gone) - lost)
        if missing:
            archive.target = partial_name(target)
        renew()  # raises if the hold ran out, which discards the file
    return BackupSummary(archive.target, count, len(names) - len(gone), missing)


def _write_tables(archive: Writer, progress: ProgressCallback) -> int:
    count = 0
    for model in rows.tables():
        count += archive.add_lines(rows.file_of(model), rows.dump(model))
        progress("rows", count)
    return count


def _write_values(
    archive: Writer,
    names: list[tuple[str, str]],
    renew: Callable[[], None],
    progress: ProgressCallback,
) -> set[str]:
    """Write values, and return the names of those that are not there."""
    renewed, absent = time.monotonic(), set()
    for number, (app, name) in enumerate(names, start=1):
        try:
            archive.add_bytes(f"values/{app}/{name}", value_store(app).get(name))
        except ValueMissing:
            absent.add(name)
        if time.monotonic() - renewed > RENEW_INTERVAL:
            renew()
            renewed = time.monotonic()
        progress("values", number)
    return absent

"""Takes a back-up: hold deletions, read rows at one moment, then their values, release the hold."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from fugata_core.clock import iso
from fugata_core.commands import ProgressCallback
from operations_app.backups import rows, snapshot
from operations_app.backups.archive import Manifest, Writer
from vault_app.backends import remote_store, value_store
from vault_app.deletion_hold import hold_deletions
from vault_app.errors import ValueMissing
from vault_app.models import sealed_models

#: Seconds between two renewals of the hold.
RENEW_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """How many rows and values a back-up holds; `missing`: rows whose value is missing."""

    rows: int
    values: int
    missing: int


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
    with hold_deletions() as renew, Writer(target, manifest) as archive:
        names: list[tuple[str, str]] = []
        with snapshot.consistent_snapshot():
            count = _write_tables(archive, progress)
            if remote_store() is not None:
                names = list(_value_names())
        values, missing = _write_values(archive, names, renew, progress)
        renew()  # raises if the hold ran out, which discards the file
    return BackupSummary(count, values, missing)


def _write_tables(archive: Writer, progress: ProgressCallback) -> int:
    count = 0
    for model in rows.tables():
        count += archive.add_lines(rows.file_of(model), rows.dump(model))
        progress("rows", count)
    return count


def _value_names() -> Iterator[tuple[str, str]]:
    for model in sealed_models():
        for name in model.value_names():
            yield model.values_of, name


def _write_values(
    archive: Writer,
    names: list[tuple[str, str]],
    renew: Callable[[], None],
    progress: ProgressCallback,
) -> tuple[int, int]:
    renewed, missing = time.monotonic(), 0
    for number, (app, name) in enumerate(names, start=1):
        try:
            archive.add_bytes(f"values/{app}/{name}", value_store(app).get(name))
        except ValueMissing:
            missing += 1
        if time.monotonic() - renewed > RENEW_INTERVAL:
            renew()
            renewed = time.monotonic()
        progress("values", number)
    return len(names) - missing, missing

"""The values that an archive has for its rows, whichever store they were in; and no other files."""

from collections.abc import Iterator
from functools import cached_property

from operations_app.backups import rows
from operations_app.backups.reader import BadArchive, Reader
from vault_app.envelope import OVERHEAD
from vault_app.models import StoredValue, sealed_models


def require_known_files(archive: Reader) -> None:
    """Raise BadArchive if a file of the archive has neither rows of a table nor a value."""
    tables = {rows.file_of(model) for model in rows.tables()}
    values = tuple(f"values/{model.values_of}/" for model in sealed_models())
    strange = [n for n in archive.manifest.digests if n not in tables and not n.startswith(values)]
    if strange:
        raise BadArchive(f"the back-up has a file of another kind: {strange[0][:100]!r}")


class ArchivedValues:
    """Those that belong to a row and have its size: what was emptied or cut opens for nobody."""

    def __init__(self, archive: Reader) -> None:
        self._archive = archive

    @cached_property
    def needed(self) -> dict[str, tuple[str, int]]:
        """Return app and sealed size of each value that a row points to, by name."""
        return {
            columns["value_name"]: (model.values_of, columns["size"] + OVERHEAD)
            for model in sealed_models()
            for columns in rows.parse(self._archive.lines(rows.file_of(model)))
        }

    def outside(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield app, name and sealed bytes of those that were in a store outside the database."""
        yield from self._fitting((name, sealed) for _, name, sealed in self._archive.values())

    def inside(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield the same of those that were in the database."""
        stored = rows.parse(self._archive.lines(rows.file_of(StoredValue)))
        yield from self._fitting((columns["name"], columns["sealed"]) for columns in stored)

    def _fitting(self, values: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, str, bytes]]:
        for name, sealed in values:
            app, size = self.needed.get(name, ("", -1))
            if len(sealed) == size:
                yield app, name, sealed

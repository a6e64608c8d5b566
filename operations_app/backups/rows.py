"""Converts rows to lines of JSON and back, for any database, bytes and times included."""

import base64
import json
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection, models

#: Short-lived: sessions, counts of the current minute, holds.
_EXCLUDED_TABLES = {
    "django_session",
    "audit_app_refusalcount",
    "audit_app_lookupcount",
    "vault_app_deletionhold",
}
_BATCH = 500

Model = type[models.Model]


def tables() -> list[Model]:
    """Return the models whose rows a back-up holds, many-to-many tables included."""
    found = apps.get_models(include_auto_created=True)
    kept = [each for each in found if each._meta.managed and not each._meta.proxy]
    return [each for each in kept if each._meta.db_table not in _EXCLUDED_TABLES]


def file_of(model: Model) -> str:
    """Return the name of the archive's file for a model's rows."""
    return f"rows/{model._meta.db_table}"


def dump(model: Model) -> Iterator[str]:
    """Yield each row as one line, in the order of the primary key."""
    names = [field.attname for field in model._meta.concrete_fields]
    rows = model._base_manager.order_by("pk").values_list(*names)
    for row in rows.iterator(chunk_size=_BATCH):
        yield json.dumps(dict(zip(names, map(_encode, row), strict=True)))


def _encode(value: Any) -> Any:
    match value:
        case bytes() | memoryview():
            return {"bytes": base64.b64encode(value).decode()}
        case datetime():
            return {"at": value.isoformat()}
        case UUID():
            return {"uuid": value.hex}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a back-up can't hold a {type(value).__name__}")


def _decode(value: Any) -> Any:
    match value:
        case {"bytes": text}:
            return base64.b64decode(text)
        case {"at": text}:
            return datetime.fromisoformat(text)
        case {"uuid": text}:
            return UUID(hex=text)
    return value


def parse(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the columns of each row, by name."""
    for line in lines:
        yield {name: _decode(value) for name, value in json.loads(line).items()}


def load(model: Model, lines: Iterable[str], there: Collection[Any] = ()) -> int:
    """Insert the rows as they were, primary keys too, but for those `there`; return how many."""
    count, batch = 0, []
    for columns in parse(lines):
        row = model(**columns)
        if row.pk not in there:
            batch.append(row)
        if len(batch) == _BATCH:
            count += _flush(model, batch)
    return count + _flush(model, batch)


def _flush(model: Model, batch: list[models.Model]) -> int:
    count = len(batch)
    model._base_manager.bulk_create(batch)
    batch.clear()
    return count


def delete_all(tables: list[Model]) -> None:
    """Delete every row of these tables, in the caller's transaction."""
    with connection.cursor() as cursor:
        for model in tables:
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # our own tables


def reset_sequences(tables: list[Model]) -> None:
    """Make the next rows get ids after those that were loaded."""
    from django.core.management.color import no_style

    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), tables):
            cursor.execute(statement)

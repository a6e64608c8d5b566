"""Rows of the trail's tables that Fugata did not write: SQLite takes any type in any column."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models

from audit_app.chain import ODD
from audit_app.errors import NotSealed
from audit_app.models import AuditEvent, AuditStub, LookupCount, RefusalCount

_TABLES: tuple[type[models.Model], ...] = (AuditEvent, AuditStub, RefusalCount, LookupCount)
# A moment as Fugata writes it; SQLite also takes "now" and a bare time for one.
_MOMENT = "typeof({0}) = 'text' AND {0} GLOB '[0-9][0-9][0-9][0-9]-*' AND julianday({0}) NOTNULL"


def odd_row() -> str | None:
    """Return a sentence on the first row with what its column is not for; not what that is.

    None: there is none, as on PostgreSQL, which looks at types itself.
    """
    if connection.vendor != "sqlite":
        return None
    found = ((model._meta.db_table, _first_odd(model)) for model in _TABLES)
    return next((_sentence(table, rowid) for table, rowid in found if rowid is not None), None)


@contextmanager
def odd_rows_named() -> Iterator[None]:
    """Raise NotSealed for an exception that comes of an odd row; any other stays what it is."""
    try:
        yield
    except ODD:
        if (sentence := odd_row()) is None:
            raise
        raise NotSealed(sentence) from None  # the exception may quote the row


def _sentence(table: str, rowid: int) -> str:
    return (
        f"Fugata did not write the row of the table {table} with the rowid {rowid}. Look at it, and"
        " delete it."
    )


def _first_odd(model: type[models.Model]) -> int | None:
    fits = " AND ".join(f"({_fits(field)})" for field in model._meta.concrete_fields)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT rowid FROM {table} WHERE NOT ({fits}) LIMIT 1")  # noqa: S608
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _fits(field: "models.Field[Any, Any]") -> str:
    column = connection.ops.quote_name(str(field.column))
    if isinstance(field, models.DateTimeField):
        fits = _MOMENT.format(column)
    else:
        fits = f"typeof({column}) = '{_type_of(field)}'"
    return f"{column} ISNULL OR {fits}" if field.null else fits


def _type_of(field: "models.Field[Any, Any]") -> str:
    if isinstance(field, models.CharField):
        return "text"
    return "blob" if isinstance(field, models.BinaryField) else "integer"

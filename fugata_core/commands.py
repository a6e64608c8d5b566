"""Output of commands: text or JSON, progress at a terminal, and a sentence for what fails."""

import json
from collections.abc import Callable
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.core.management.base import OutputWrapper
from django.db import DataError, IntegrityError

from fugata_core.database_failures import (
    DISK_FULL,
    LOCK_FAILURES,
    PREPARED,
    PREPARED_REMEDY,
    READ_ONLY,
    SESSION_LIMITS,
    StaleStatement,
    is_outage,
    kinds_of,
    sqlstate_of,
)
from fugata_core.errors import FugataError
from fugata_core.terminal import escaped

NOT_MIGRATED = "The database is not migrated. Run: python manage.py prepare"
#: What is said for which SQLSTATE (PostgreSQL's documentation, appendix A), or in which words:
#: SQLite, and Django's migrations, have nothing else.
_SENTENCES = (
    (
        LOCK_FAILURES,
        ("database is locked",),
        "Another session (a back-up, psql or sqlite3) has locked what is needed in the database."
        " Run it again when that session has ended.",
    ),
    (
        ("53300",),
        ("too many connections", "too many clients", "connection slots", "no more connections"),
        "DATABASE_URL: the database takes no more connections. Run fewer processes or threads,"
        " raise max_connections or the role's limit, or use PgBouncer (docs/scaling.md).",
    ),
    (
        (DISK_FULL,),
        ("database or disk is full",),
        "DATABASE_URL: the disk of the database is full. Make room there, then run it again.",
    ),
    (
        ("57014",),
        (),
        "DATABASE_URL: a statement took longer than the database's statement_timeout, or somebody"
        " cancelled it. Give Fugata's role a longer one.",
    ),
    *(
        (
            (code,),
            (),
            f"DATABASE_URL: the database ended the session, which its {setting} allows no longer."
            " Give Fugata's role a longer one.",
        )
        for code, setting in SESSION_LIMITS.items()
    ),
    (PREPARED, (), f"DATABASE_URL: prepared statements got mixed up. {PREPARED_REMEDY}"),
    (
        ("42501",),
        ("permission denied",),
        "DATABASE_URL: the role may not do that in this database. It must own the tables, and the"
        " database or its schema.",
    ),
    (
        (READ_ONLY,),
        ("readonly database", "read-only"),
        "DATABASE_URL: the database can only be read. Is it a standby, or a file of somebody else?"
        " (With target_session_attrs=any, a standby is good enough for what only reads.)",
    ),
    (
        ("42P07",),
        (),
        "DATABASE_URL: the database has tables of another program. Give Fugata one of its own.",
    ),
    (
        (),
        ("file is not a database",),
        "DATABASE_URL: the file is not an SQLite database.",
    ),
    (
        ("42P01", "42703"),
        ("no such table", "no such column", "has no column named"),
        NOT_MIGRATED,
    ),
)

#: Called with what is counted, and the count so far.
ProgressCallback = Callable[[str, int], None]


def add_json(parser: CommandParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, no more")


class OperatorCommand(BaseCommand):
    """A command with `--json`; a subclass does its work in `perform`."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's arguments; a subclass calls this too."""
        add_json(parser)

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        """Run the command. Raises CommandError with one sentence."""
        try:
            message, result = self.perform(options)
        except FugataError as error:
            raise CommandError(escaped(error.sentence)) from None
        text = _json(result) if json else escaped(message, keep="\n\t")
        if text:
            self.stdout.write(text)

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Do the work; return the text and the JSON object. Raises FugataError.

        What is listed is `escaped` there: here, a line in a name looks like one of ours.
        """
        raise NotImplementedError


def database_sentence(error: Exception) -> str | None:
    """Return what an operator can do about a database that can't be used; None: nothing."""
    if isinstance(error, IntegrityError | DataError):
        return None
    if isinstance(error, StaleStatement):
        return "The tables were changed meanwhile. Run it again."
    sqlstate, text = sqlstate_of(error), str(error)
    for sqlstates, words, sentence in _SENTENCES:
        if sqlstate in sqlstates if sqlstate else any(each in text for each in words):
            return sentence
    if is_outage(error):
        return (
            f"DATABASE_URL: the database can't be used ({kinds_of(error)}). Is it running,"
            " are address, name, user and password right, and does it take more connections?"
        )
    return None


def _json(result: dict[str, Any]) -> str:
    return escaped(json.dumps(result, ensure_ascii=False))


class ProgressLine:
    """A line that overwrites itself; nothing where the output is not a terminal.

    Call it with what is counted and the count; `done` ends the line.
    """

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream, self._shown = stream, False

    def __call__(self, what: str, count: int) -> None:
        """Show the count, if it is a multiple of a hundred."""
        if self._stream.isatty() and count % 100 == 0:
            self._stream.write(f"\r{count} {what} …   ", ending="")
            self._shown = True

    def done(self) -> None:
        """End the line."""
        if self._shown:
            self._stream.write("")

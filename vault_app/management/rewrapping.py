"""Shared by the commands that re-wrap data keys: options, progress line, messages, JSON."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.management import BaseCommand, CommandError, CommandParser
from kombu.exceptions import OperationalError

from fugata_core.commands import add_json
from vault_app import keycheck, rewrap
from vault_app.backends import key_provider
from vault_app.errors import KeyUnavailable
from vault_app.tasks import rewrap_keys

_BAR = 24


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many data keys were re-wrapped, are damaged, and are still under another key."""

    moved: int
    damaged: int
    left: int


def add_arguments(parser: CommandParser) -> None:
    """Add the options that every re-wrapping command takes."""
    parser.add_argument(
        "--batch", type=int, default=rewrap.BATCH, help="data keys in one short transaction"
    )
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds to leave between two batches"
    )
    add_json(parser)


def add_background(parser: CommandParser) -> None:
    """Add --background."""
    parser.add_argument(
        "--background", action="store_true", help="leave the re-wrapping to the worker"
    )


def verify_keys() -> None:
    """Record the primary and check that every key is available. Raises CommandError."""
    try:
        keycheck.verify()
    except keycheck.KeyCheckFailed as error:
        raise CommandError(str(error)) from error


def consume(
    command: BaseCommand, batches: Iterator[rewrap.Batch], total: int, pause: float
) -> tuple[int, int]:
    """Consume `batches`, with a progress line on a terminal.

    Returns how many data keys were moved, and how many are damaged. Raises CommandError.
    """
    moved = damaged = 0
    try:
        for batch in batches:
            moved, damaged = moved + batch.moved, damaged + batch.damaged
            _show_progress(command, moved, max(total, moved))
            time.sleep(pause)
    except KeyUnavailable as error:
        raise CommandError(
            f"{moved} data keys were re-wrapped, then a key could not be had: {error}. Once that"
            " is over, run the same command again: it goes on where this one ended."
        ) from error
    finally:
        if command.stderr.isatty():
            command.stderr.write("")
    return moved, damaged


def _show_progress(command: BaseCommand, moved: int, total: int) -> None:
    if not command.stderr.isatty():
        return
    filled = _BAR * moved // max(total, 1)
    bar = "#" * filled + "." * (_BAR - filled)
    command.stderr.write(f"\r[{bar}] {moved} of {total} data keys re-wrapped", ending="")


def run_rewrap(
    command: BaseCommand, batch: int, pause: float, source: str | None = None
) -> Outcome:
    """Re-wrap what is not under the primary, showing progress. Raises CommandError."""
    total = rewrap.count_outdated(source)
    # Always settle: the key may have become primary a moment ago.
    moved, damaged = consume(command, rewrap.rewrap(source, batch, rewrap.SETTLE), total, pause)
    return Outcome(moved, damaged, rewrap.count_outdated(source) - damaged)


def report(command: BaseCommand, outcome: Outcome, as_json: bool, **more: object) -> None:
    """Report the outcome. Raises CommandError if keys are damaged or still under another key."""
    if as_json:
        fields = {"moved": outcome.moved, "damaged": outcome.damaged, "left": outcome.left}
        command.stdout.write(json.dumps(more | {"primary": key_provider().primary} | fields))
    else:
        command.stdout.write(
            f"{outcome.moved} data keys re-wrapped under {key_provider().primary}."
        )
    if outcome.damaged:
        raise CommandError(
            f"{outcome.damaged} data keys do not open under the key that they name and stay as"
            " they are: their rows were damaged or edited. The old key can be retired once they"
            " are gone (expired, deleted, or set anew)."
        )
    if outcome.left > 0:
        raise CommandError(
            f"{outcome.left} data keys are still under another key: a process wraps under it."
            " Restart every process of Fugata with the settings of this command, then run it again."
        )


def start_in_background(command: BaseCommand, as_json: bool, **more: object) -> None:
    """Leave the re-wrapping to the worker, which resumes after any kill until it is done."""
    rewrap.request_rewrap()
    try:
        rewrap_keys.delay()
    except OperationalError:
        command.stderr.write("The task queue can't be reached; beat hands it over once it is.")
    if as_json:
        left = rewrap.count_outdated()
        fields = {"primary": key_provider().primary, "background": True, "left": left}
        command.stdout.write(json.dumps(more | fields))
    else:
        command.stdout.write("The worker re-wraps the rest. manage.py list_keys shows how far.")

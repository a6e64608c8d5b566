"""Shared by the commands that re-wrap data keys: options, progress line, messages, JSON."""

import json
import math
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
from vault_app.usage import KeyState, key_states
from vault_app.versions import newest_version

_BAR = 24


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many data keys were re-wrapped, are damaged, are under a version of their key that is no
    longer opened, and are still under another key.
    """

    moved: int
    damaged: int
    barred: int
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


def run_rewrap(
    command: BaseCommand, batch: int, pause: float, source: str | None = None
) -> Outcome:
    """Re-wrap what is not under the primary, showing progress. Raises CommandError."""
    # Always settle: the key may have become primary a moment ago.
    batches = rewrap.rewrap(source, batch, rewrap.SETTLE)
    stays = _consume(command, batches, rewrap.count_outdated(source), pause)
    return Outcome(stays.moved, stays.damaged, stays.barred, _left(stays, source=source))


def run_rewrap_all(command: BaseCommand, batch: int, pause: float) -> Outcome:
    """Re-wrap what the newest version of the primary has not, showing progress.

    Raises CommandError.
    """
    try:
        has_versions = newest_version() is not None
        total = rewrap.outdated(versions=True).count() if has_versions else rewrap.count_data_keys()
        stays = _consume(command, rewrap.rewrap_all(batch, rewrap.SETTLE), total, pause)
        if has_versions and (seconds := rewrap.settling()):
            stays = _with_stragglers(command, batch, stays.moved, seconds)
        return Outcome(stays.moved, stays.damaged, stays.barred, _left(stays, versions=True))
    except KeyUnavailable as error:
        raise CommandError(f"A key could not be had: {error}.") from error


def _with_stragglers(command: BaseCommand, batch: int, moved: int, seconds: float) -> rewrap.Batch:
    """Re-wrap what requests wrote meanwhile that began before the rotation; return the sum."""
    command.stderr.write(
        f"{moved} data keys re-wrapped. Waiting {math.ceil(seconds)} seconds for requests under"
        " way, which may still write what an older version wrapped."
    )
    time.sleep(seconds)
    late = _consume(command, rewrap.rewrap_all(batch), 0, 0.0)
    return rewrap.Batch(moved + late.moved, late.damaged, late.barred)


def _left(stays: rewrap.Batch, source: str | None = None, *, versions: bool = False) -> int:
    outdated = rewrap.outdated(source, versions=versions).count()
    return outdated - stays.damaged - stays.barred


def _consume(
    command: BaseCommand, batches: Iterator[rewrap.Batch], total: int, pause: float
) -> rewrap.Batch:
    """Consume `batches`, with a progress line on a terminal; return their sum.

    Raises CommandError.
    """
    moved = damaged = barred = 0
    try:
        for batch in batches:
            moved, damaged = moved + batch.moved, damaged + batch.damaged
            barred += batch.barred
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
    return rewrap.Batch(moved, damaged, barred)


def _show_progress(command: BaseCommand, moved: int, total: int) -> None:
    if not command.stderr.isatty():
        return
    filled = _BAR * moved // max(total, 1)
    bar = "#" * filled + "." * (_BAR - filled)
    command.stderr.write(f"\r[{bar}] {moved} of {total} data keys re-wrapped", ending="")


def report(command: BaseCommand, outcome: Outcome, as_json: bool, **more: object) -> None:
    """Report the outcome. Raises CommandError if keys are damaged or still under another key."""
    if as_json:
        fields = {"moved": outcome.moved, "damaged": outcome.damaged, "left": outcome.left}
        fields |= {"barred": outcome.barred} if outcome.barred else {}
        fields |= _version_fields()
        command.stdout.write(json.dumps(more | {"primary": key_provider().primary} | fields))
    else:
        command.stdout.write(
            f"{outcome.moved} data keys re-wrapped under {key_provider().primary}."
        )
    if trouble := _damage(outcome) or _bar(outcome) or _rest(outcome):
        raise CommandError(trouble)


def report_versions(command: BaseCommand) -> None:
    """Say up to which version the primary's minimum can be raised, if it has versions."""
    primary = _primary()
    if primary.lowest_version is not None:
        command.stdout.write(
            f"It is safe to raise min_decryption_version of {primary.id} to"
            f" {primary.lowest_version}, which wraps what nothing older does. Back-ups from before"
            " need the older versions: see docs/keys.md."
        )


def _version_fields() -> dict[str, int]:
    lowest = _primary().lowest_version
    return {"lowest_version": lowest} if lowest else {}


def _primary() -> KeyState:
    return next(key for key in key_states() if key.primary)


def _damage(outcome: Outcome) -> str:
    if not outcome.damaged:
        return ""
    return (
        f"{outcome.damaged} data keys do not open under the key that they name and stay as they"
        " are: their rows were damaged or edited. The old key can be retired once they are gone"
        " (expired, deleted, or set anew)."
    )


def _bar(outcome: Outcome) -> str:
    if not outcome.barred:
        return ""
    return (
        f"{outcome.barred} data keys are under a version of their key that the key service no"
        " longer opens; manage.py list_keys shows how many under which. Lower the key's"
        " min_decryption_version to the lowest of these, and run this again."
    )


def _rest(outcome: Outcome) -> str:
    if outcome.left <= 0:
        return ""
    return (
        f"{outcome.left} data keys are still under another key, or an older version of it: a"
        " process wraps under it. Restart every process of Fugata with the settings of this"
        " command, then run it again."
    )


def start_in_background(
    command: BaseCommand, as_json: bool, *, versions: bool = False, **more: object
) -> None:
    """Leave the re-wrapping to the worker, which resumes after any kill until it is done.

    `versions`: also of what older versions of the primary wrapped. Raises CommandError.
    """
    try:
        left = _request(versions=versions)
    except KeyUnavailable as error:
        raise CommandError(f"A key could not be had: {error}.") from error
    try:
        rewrap_keys.delay()
    except OperationalError:
        command.stderr.write("The task queue can't be reached; beat hands it over once it is.")
    if as_json:
        fields = {"primary": key_provider().primary, "background": True, "left": left}
        command.stdout.write(json.dumps(more | fields))
    else:
        command.stdout.write("The worker re-wraps the rest. manage.py list_keys shows how far.")


def _request(*, versions: bool) -> int:
    """Ask the worker, and return how many data keys it has to re-wrap."""
    if versions and newest_version() is None:
        raise CommandError(
            "--all can't be left to the worker here, because versions of the primary key can't be"
            " told apart. Leave --background out."
        )
    rewrap.request_rewrap(versions=versions)
    return rewrap.outdated(versions=versions).count()

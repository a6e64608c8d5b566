"""`manage.py audit verify|seal|export|prune|reset-head`: the auditor's commands."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils.text import capfirst

from audit_app.chain import Head, goes_on_from, head
from audit_app.errors import ChainBroken, HeadUnavailable, NotSealed
from audit_app.export import export_lines
from audit_app.heads import head_store
from audit_app.heads.base import HeadStore
from audit_app.models import AuditEvent
from audit_app.odd_rows import odd_rows_named
from audit_app.prune import prune_events
from audit_app.publish import publish
from audit_app.reset import reset_head
from audit_app.seal import seal_events
from audit_app.verify import Verdict, verify
from fugata_core.durations import duration
from fugata_core.errors import BadRequest
from fugata_core.terminal import escaped

_RESET = "manage.py audit reset-head"
_WORDS = "verify|seal|export|prune|reset-head"


def _since(text: str) -> datetime:
    """Return the moment of `2026-01-31`, `2026-01-31T12:00:00Z`, or `7d` (that long ago)."""
    if length := duration(text):
        return datetime.now(UTC) - length
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("write a date such as 2026-01-31, or 7d for a week ago") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except BadRequest as error:
        raise ArgumentTypeError(error.sentence) from None


def _kept(heads: HeadStore) -> tuple[Head | None, HeadUnavailable | None]:
    """Return the head that is kept, or why it can't be read."""
    try:
        return heads.read(), None
    except HeadUnavailable as error:
        return None, error


def _waiting(count: int) -> str:
    first = AuditEvent.objects.filter(position=None).order_by("pk").first()
    since = f", the first since {first.at:%Y-%m-%d %H:%M} UTC" if first else ""
    return f"{count} wait to be sealed{since}"


def _compared(kept: Head | None, given: Head | None, where: str) -> str:
    """Return with which heads the trail was compared, and what is not known without one."""
    heads = [f"the one at position {kept.position} that {where} keeps"] if kept else []
    heads += [f"the one at position {given.position} that was given"] if given else []
    if heads:
        return f"It has the published heads: {', and '.join(heads)}."
    return (
        f"There was no published head to compare with ({where} has none): whether events are"
        " missing at the end, or all were sealed anew, is not known."
    )


def _hint(verdict: Verdict, kept: Head | None) -> str:
    """Return what else than an intruder may be behind it."""
    if not verdict.verified and str(verdict.problem).startswith("the event at position"):
        return " Is AUDIT_KEY the one that sealed it?"
    if kept is not None and not goes_on_from(kept) and verify().problem is None:
        return f" (If you restored a back-up: {_RESET}.)"
    return ""


class Command(BaseCommand):
    help = "Verify, seal, export or prune the audit trail, or reset its head after a restore."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add a subcommand for each action."""
        what = parser.add_subparsers(dest="what", required=True, metavar=_WORDS)
        verifier = what.add_parser("verify", help="walk the chain; exit status 1 if it is broken")
        verifier.add_argument("--head", type=_head, help="a head that was published")
        what.add_parser("seal", help="seal what is not sealed yet, and print the head")
        exporter = what.add_parser("export", help="print the events as lines of JSON")
        exporter.add_argument("--since", type=_since, help="2026-01-31, or 7d for a week ago")
        exporter.add_argument("--format", choices=["jsonl"], default="jsonl")
        what.add_parser("prune", help="delete sealed events older than AUDIT_RETENTION")
        what.add_parser(
            "reset-head", help="after a restore: let the trail go on from what the database has"
        )

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        """Run the subcommand. Raises CommandError if the trail does not verify."""
        try:
            with odd_rows_named():
                getattr(self, f"_{what.replace('-', '_')}")(options)
        except HeadUnavailable as error:
            raise CommandError(f"{error}.") from None
        except NotSealed as error:
            raise CommandError(capfirst(str(error))) from None

    def _verify(self, options: dict[str, Any]) -> None:
        heads = head_store()
        kept, trouble = _kept(heads)
        given = options["head"]
        verdict = verify([head for head in (given, kept) if head], self._progress)
        problem = verdict.problem
        if kept in verdict.pruned:
            problem = f"only what is kept is pruned, and {heads.where} keeps an earlier head"
        if problem:
            raise CommandError(
                f"The trail does not verify: {escaped(problem)}.{_hint(verdict, kept)}"
            )
        waiting = f", {_waiting(verdict.unsealed)}" if verdict.unsealed else ""
        self.stdout.write(f"{verdict.verified} events verified{waiting}. Head: {verdict.head}")
        if trouble:
            raise trouble
        if given in verdict.pruned:
            self.stdout.write(f"Position {given.position} is pruned: that head was not compared.")
            given = None
        self.stdout.write(_compared(kept, given, heads.where))

    def _progress(self, count: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{count} events verified", ending="")

    def _seal(self, options: dict[str, Any]) -> None:
        heads = list(seal_events())
        if heads:
            publish(heads[-1])
        self.stdout.write(str(head()))

    def _reset_head(self, options: dict[str, Any]) -> None:
        heads = head_store()
        if problem := verify(progress=self._progress).problem:
            raise CommandError(f"Nothing was reset: the trail does not verify: {escaped(problem)}.")
        if (done := reset_head(heads)) is None:
            self.stdout.write(f"Nothing to reset: the trail has the head that {heads.where} keeps.")
            return
        before = f"kept before: {done.before}" if done.before else "none was kept before"
        self.stdout.write(
            f"The trail goes on from {done.after} ({before}). That is a sealed event of it."
        )

    def _export(self, options: dict[str, Any]) -> None:
        for line in export_lines(options["since"]):
            self.stdout.write(line)

    def _prune(self, options: dict[str, Any]) -> None:
        if settings.AUDIT_RETENTION is None:
            raise CommandError("AUDIT_RETENTION is not set: the trail is kept for good.")
        try:
            pruned = prune_events(settings.AUDIT_RETENTION)
        except ChainBroken as error:
            raise CommandError(f"Nothing was pruned: {error}") from None
        self.stdout.write(f"{pruned} events pruned.")

"""`manage.py purge_expired [--dry-run]`: do by hand what beat does every minute."""

from typing import Any

from django.core.management import BaseCommand, CommandParser

from audit_app.actors import COMMAND_LINE
from audit_app.models import AuditEvent
from audit_app.trail import record
from secrets_app.actions.purge import count_expired, purge_expired


class Command(BaseCommand):
    help = "Delete expired shares now. Beat does the same every minute."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say how many there are")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        waiting = count_expired()
        if dry_run:
            self.stdout.write(f"{waiting} expired shares would be purged.")
            return
        purged = 0
        record(AuditEvent.Kind.PURGED, COMMAND_LINE)
        for count in purge_expired():
            purged += count
            if self.stderr.isatty():
                self.stderr.write(f"\r{purged} of about {max(waiting, purged)} purged", ending="")
        if self.stderr.isatty():
            self.stderr.write("")
        self.stdout.write(f"{purged} expired shares purged.")

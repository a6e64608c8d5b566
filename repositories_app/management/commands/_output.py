"""How the operator's commands speak: a line for people, or one JSON object with --json."""

import json
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from secrets_app.errors import FugataError


class OperatorCommand(BaseCommand):
    """A command with `--json`; a subclass does its work in `perform`."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what the command takes; a subclass calls this too."""
        parser.add_argument("--json", action="store_true", help="print one JSON object, no more")

    def handle(self, *args: Any, json: bool, **options: Any) -> None:
        """Raises CommandError with one sentence."""
        try:
            said, result = self.perform(options)
        except FugataError as error:
            raise CommandError(error.sentence) from None
        self.stdout.write(_json(result) if json else said)

    def perform(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Do it; returns what to tell a person, and the JSON object. Raises FugataError."""
        raise NotImplementedError


def _json(result: dict[str, Any]) -> str:
    return json.dumps(result, ensure_ascii=False)

"""`manage.py migrate_keys --from local --to vault`: move data keys between key providers."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from vault_app import rewrap
from vault_app.backends import key_provider
from vault_app.keys.guidance import GUIDANCE
from vault_app.management import rewrapping


class Command(BaseCommand):
    help = (
        "Re-wrap every data key of one key provider under the primary key of another, while the"
        " service runs. First set the new provider up beside the old one and restart every"
        " process: then each can open what the other wrapped. Next set KMS_PROVIDER to the new"
        " one, leave the old one's settings (the keyring file, VAULT_… or AWS_…) in place, and"
        " restart again. Then run this, with the same settings. It can be stopped and run again"
        " at any time. At the end retire the old keys and take their settings out. See"
        " docs/keys.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", choices=list(GUIDANCE), required=True, dest="source")
        parser.add_argument("--to", choices=list(GUIDANCE), required=True, dest="target")
        rewrapping.add_arguments(parser)

    def handle(self, *args: Any, source: str, target: str, json: bool, **options: Any) -> None:
        """Move the data keys. Raises CommandError, which says what to do."""
        _refuse_what_can_not_work(source, target)
        rewrapping.verify_keys()
        outcome = rewrapping.run_rewrap(self, options["batch"], options["pause"], source)
        keys = rewrap.other_keys(source)
        rewrapping.report(self, outcome, json, **{"from": source, "to": target, "retirable": keys})
        if not json:
            for key in keys:
                self.stdout.write(f"Nothing needs {key} any more: manage.py retire_key {key}")


def _refuse_what_can_not_work(source: str, target: str) -> None:
    if source == target:
        raise CommandError("--from and --to must differ. Within one provider: manage.py rotate_key")
    if key_provider().name != target:
        raise CommandError(
            f"KMS_PROVIDER: must be {target} already, here and for every process of the service:"
            f" otherwise it goes on wrapping under {key_provider().name}. Leave the settings of"
            f" {source} in place, so that what it wrapped can be opened."
        )

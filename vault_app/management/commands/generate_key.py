"""`manage.py generate_key`: a keyring for FUGATA_KEYS."""

from typing import Any

from django.core.management import BaseCommand

from vault_app.keys import local


class Command(BaseCommand):
    help = "Print a new keyring of one key, for FUGATA_KEYS. It is kept nowhere."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(local.generate().strip())

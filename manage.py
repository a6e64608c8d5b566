#!/usr/bin/env python3
"""Fugata's command line: `python manage.py help` lists the commands."""

import os
import sys


def main() -> None:
    """Run one command. Ctrl-C ends it without a stack trace, also while Django is loaded."""
    from fugata_core.terminal import WithoutSecrets

    sys.stderr = WithoutSecrets(sys.stderr)
    try:
        run(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


def run(arguments: list[str]) -> None:
    """Run one command; a wrong setting or a database that is away ends it with one sentence."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from fugata_core.database_failures import ANY_ERROR

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")
    try:
        _ = settings.DEBUG  # reads them all
        execute_from_command_line(arguments)
    except ImproperlyConfigured as error:
        sys.exit(f"Fugata can't start. {error}")
    except ANY_ERROR as error:
        from fugata_core.commands import database_sentence

        sentence = database_sentence(error)
        if sentence is None or "--traceback" in arguments:
            raise
        sys.exit(sentence)


if __name__ == "__main__":
    main()

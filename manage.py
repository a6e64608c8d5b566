#!/usr/bin/env python3
"""Fugata's command line: `python manage.py help` lists the commands."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run one command; a wrong setting ends it with one sentence instead of a stack trace."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")
    try:
        _ = settings.DEBUG  # reads them all
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Fugata can't start. {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # Ctrl-C before there is anything to end


if __name__ == "__main__":
    main()

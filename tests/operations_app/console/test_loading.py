"""The admin is loaded by who asks for it, and the checks do."""

import subprocess
import sys

from tests.support.servers.service import ROOT

CHECK = """
import django
django.setup()
from django.contrib import admin
from django.core.checks import run_checks
before = len(admin.site._registry)
run_checks()
print(before, len(admin.site._registry))
"""


def test_checks_look_at_what_apps_register() -> None:
    said = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = map(int, said.stdout.split())
    assert before == 0
    assert after > 5

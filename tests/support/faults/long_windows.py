"""Fugata's settings where wrong passwords are counted by the day (DJANGO_SETTINGS_MODULE).

So that no count begins anew in the middle of a test.
"""

from fugata_site.settings import *  # noqa: F403

SIGN_IN_RATE = "30/d"
ACCOUNT_IN_NETWORK_RATE = "10/d"
ACCOUNT_RATE = "100/d"

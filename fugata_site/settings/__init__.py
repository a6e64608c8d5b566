"""Settings, from the environment; docs/settings.md lists them. An invalid one stops the start."""

from fugata_site.settings.home import *
from fugata_site.settings.serving import *
from fugata_site.settings.usage_limits import *
from fugata_site.settings.processes import *
from fugata_site.settings.database import *
from fugata_site.settings.vault import *
from fugata_site.settings.tasks import *
from fugata_site.settings.audit import *
from fugata_site.settings.application import *
from fugata_site.settings.console import *
from fugata_site.settings.api import *
from fugata_site.settings.security import *

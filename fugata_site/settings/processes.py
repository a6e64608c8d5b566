"""How many processes and threads there are, what they log, and who may scrape them."""

import re

from django.core.exceptions import ImproperlyConfigured

from fugata_site.settings import log_settings
from fugata_site.settings.environment import env, one_of, read, whole_number
from fugata_site.settings.home import FUGATA_HOME
from fugata_site.settings.redis_address import redis_address
from fugata_site.settings.serving import PORT

redis = redis_address(read("REDIS_URL", env.str, ""))
REDIS_URL = redis.url if redis else ""
#: What all keys and queues in Redis begin with, each followed by a colon.
REDIS_PREFIX = read("REDIS_PREFIX", env.str, "fugata")
if not re.fullmatch(r"[-_.0-9A-Za-z]{1,64}", REDIS_PREFIX):
    raise ImproperlyConfigured("REDIS_PREFIX: must be 1 to 64 letters, digits, -, _ or dots.")
WEB_CONCURRENCY = whole_number("WEB_CONCURRENCY", 2 if REDIS_URL else 1, 1, 256)
WEB_THREADS = whole_number("WEB_THREADS", 16, 4, 512)
#: Number of machines, containers or pods; seconds for requests to finish when one stops.
REPLICAS = whole_number("REPLICAS", 1, 1, 10_000)
GRACEFUL_TIMEOUT = whole_number("GRACEFUL_TIMEOUT", 5, 1, 3600)
#: Seconds that the thread of a request may wait for its client, to receive and to send.
REQUEST_TIMEOUT = whole_number("REQUEST_TIMEOUT", 60, 1, 3600)
ACCESS_LOG = read("ACCESS_LOG", env.bool, False)
LOG_FORMAT = one_of("LOG_FORMAT", ["text", "json"])
LOGGING = log_settings.configuration(LOG_FORMAT)

#: Metrics are served on a port of their own, or behind a token; with neither there are none.
METRICS_HOST = read("METRICS_HOST", env.str, "127.0.0.1").strip("[]")
METRICS_PORT = whole_number("METRICS_PORT", 0, 0, 65535)
METRICS_TOKEN = read("METRICS_TOKEN", env.str, "")
METRICS = bool(METRICS_PORT or METRICS_TOKEN)
METRICS_FOLDER = FUGATA_HOME / "metrics"
if METRICS_PORT == PORT:
    raise ImproperlyConfigured("METRICS_PORT: must be another port than PORT.")
if METRICS_TOKEN and not re.fullmatch(r"[!-~]{16,1024}", METRICS_TOKEN):
    raise ImproperlyConfigured(
        "METRICS_TOKEN: must be 16 to 1,024 visible ASCII characters, without spaces."
    )

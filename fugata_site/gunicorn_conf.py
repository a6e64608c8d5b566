"""gunicorn's settings: `gunicorn -c python:fugata_site.gunicorn_conf fugata_site.wsgi`."""

import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402

_host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
bind = f"{_host}:{settings.PORT}"
worker_class = "gthread"
workers = settings.WEB_CONCURRENCY
threads = settings.WEB_THREADS
worker_connections = 10_000
keepalive = 30
graceful_timeout = settings.GRACEFUL_TIMEOUT
# gthread tells the arbiter that it lives from its main loop, whatever its threads wait for.
timeout = 30
limit_request_line = 8190  # ids of up to 8,000 characters get an answer of ours
# Who may say what is decided by ClientMiddleware, from TRUSTED_PROXIES.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
control_socket_disable = True
logger_class = "fugata_site.logs.GunicornLogger"
accesslog = "-" if settings.ACCESS_LOG else None
access_log_format = '%(t)s "%(r)s" %(s)s %(B)s %(L)ss'
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None


def on_starting(server: Any) -> None:
    """Refuse to start what can't work, before a request is served."""
    from django.core.management import CommandError, call_command

    if server.cfg.workers > 1 and not settings.REDIS_URL:
        sys.exit("WEB_CONCURRENCY: several web processes need REDIS_URL. See README.md.")
    try:
        call_command("prepare", check_only=True, skip_checks=False)
    except CommandError as error:
        sys.exit(str(error))
    from django.db import connections

    connections.close_all()  # no connection may be shared with the workers that are forked


def post_worker_init(worker: Any) -> None:
    """Start the health probe, and spare the garbage collector what was loaded for good."""
    import gc

    from fugata_site import health

    health.monitor.start()
    gc.collect()
    gc.freeze()

"""gunicorn's settings: `gunicorn -c python:fugata_site.gunicorn_conf fugata_site.wsgi`."""

import os
import resource
import socket
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fugata_site.settings")

import django
from django.conf import settings

from fugata_core.addresses import authority
from fugata_server.processes import PREPARED
from operations_app.metrics import folder

folder.claim("web")  # before prometheus-client is imported
django.setup()

from fugata_core.limits import KEEPALIVE, threads_to_start  # noqa: E402  # it has a metric

#: File descriptors of a worker that are not for clients: database, Redis, cluster, static files.
_RESERVED = 200


def _connections(wanted: int) -> int:
    """Return how many connections a worker may hold; increase the descriptor limit as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _RESERVED
    most = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - _RESERVED), 50)


bind = authority(settings.HOST, settings.PORT)
preload_app = True  # the workers share what was loaded before they were forked
worker_class = "fugata_server.worker.Worker"
workers = settings.WEB_CONCURRENCY
threads = threads_to_start(settings.WEB_THREADS)
worker_connections = _connections(10_000)
keepalive = KEEPALIVE
graceful_timeout = settings.GRACEFUL_TIMEOUT
# The worker notifies the arbiter from its main loop, whatever its threads wait for.
timeout = 30
sendfile = False  # it would wait for a slow reader without our deadline
limit_request_line = 8190  # ids of up to 8,000 characters get our own response
# ClientMiddleware decides which forwarded headers to trust, from TRUSTED_PROXIES.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
control_socket_disable = True
logger_class = "fugata_server.logger.GunicornLogger"
accesslog = "-" if settings.ACCESS_LOG else None
access_log_format = '%(t)s "%(r)s" %(s)s %(B)s %(L)ss'
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None


#: The socket of METRICS_PORT, opened once and shared by the workers.
_metrics_sockets: list[socket.socket] = []


def on_starting(server: Any) -> None:
    """Refuse to start if the service can't work, before a request is served."""
    if server.cfg.workers > 1 and not settings.REDIS_URL:  # gunicorn's own --workers may say so
        sys.exit("WEB_CONCURRENCY: several web processes need REDIS_URL. See docs/settings.md.")
    if not os.environ.get(PREPARED):
        _check()
    if settings.METRICS_PORT:
        _listen_for_scrapes()
    _prepare_fork()


def _check() -> None:
    from django.core.management import CommandError, call_command

    try:
        call_command("prepare", check_only=True, skip_checks=False)
    except CommandError as error:
        sys.exit(str(error))


def _prepare_fork() -> None:
    """Load what every request needs, and close every connection that workers would share."""
    import gc

    from django.db import connections
    from django.urls import get_resolver

    from vault_app import backends

    _ = get_resolver().reverse_dict
    connections.close_all()
    backends.reset_backends()
    # The collector would write to each object that it visits, and so unshare its memory page.
    gc.collect()
    gc.freeze()


def _listen_for_scrapes() -> None:
    from operations_app.metrics import listener

    try:
        _metrics_sockets.append(listener.listen())
    except listener.CannotListen as error:
        sys.exit(str(error))


def child_exit(server: Any, worker: Any) -> None:
    """Drop the live gauges of a worker that ended; its counters stay."""
    folder.drop_process(worker.pid)


def post_worker_init(worker: Any) -> None:
    """Start what runs beside the requests, and have the garbage collector skip what was loaded."""
    import gc

    from operations_app.diagnostics import monitor
    from operations_app.metrics import listener

    monitor.start()
    for listening in _metrics_sockets:
        listener.serve(listening)
    gc.collect()
    gc.freeze()

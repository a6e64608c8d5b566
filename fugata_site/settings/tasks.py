"""The cache, and the queue between beat and the worker."""

from fugata_site.settings import schedule
from fugata_site.settings.environment import whole_number
from fugata_site.settings.home import FUGATA_HOME
from fugata_site.settings.processes import REDIS_PREFIX, REDIS_URL, redis

#: Seconds a call to Redis may take; a slower one lets the request through.
REDIS_TIMEOUT = whole_number("REDIS_TIMEOUT_MS", 100, 1, 10_000) / 1000
_redis_cache = {
    "BACKEND": "fugata_core.json_cache.RedisCache",
    "LOCATION": REDIS_URL,
    "KEY_PREFIX": f"{REDIS_PREFIX}:cache",
    "OPTIONS": {
        # Never pickles: who can write to Redis would run code here, with the keys in reach.
        "serializer": "fugata_core.json_cache.JSONSerializer",
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
    },
}
# This one pickles, without a way to have it not: in the memory of the process, where nobody else
# writes.
_memory_cache = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
CACHES = {"default": _redis_cache if REDIS_URL else _memory_cache}

# Without Redis the task queue is a folder: Celery's in-memory transport does not reach from a
# command to the worker, which are separate processes.
_QUEUE = FUGATA_HOME / "queue"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object]
CELERY_BROKER_URL = redis.broker_url if redis else "filesystem://localhost/"
if redis:
    CELERY_BROKER_USE_SSL = redis.broker_tls
    # Another application may use the same database, and Celery's default names.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "global_keyprefix": f"{REDIS_PREFIX}:",
        # Seconds. Without them, a connection to a server that is gone is kept for good. The worker
        # waits for a task for one second at a time (BRPOP), so that more than that is a failure.
        "socket_connect_timeout": 3,
        "socket_timeout": 3,
        "health_check_interval": 3,
    }
    CELERY_TASK_DEFAULT_QUEUE = "tasks"
else:
    CELERY_BROKER_TRANSPORT = "fugata_server.folder_queue:FolderTransport"
    for _folder in (_QUEUE, _QUEUE / "messages", _QUEUE / "control"):
        _folder.mkdir(exist_ok=True, mode=0o700)  # a parent that it makes has other rights
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_QUEUE / "messages"),
        "data_folder_out": str(_QUEUE / "messages"),
        "control_folder": str(_QUEUE / "control"),
        # Seconds between two polls of the folder; a worker that shuts down waits for one.
        "polling_interval": 0.25,
    }
# Celery's defaults, said for good: what else is on the queue is dropped unread.
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
#: The module of the Celery application, for all code that sends tasks.
TASK_APPLICATION = "fugata_site.celery"
CELERY_WORKER_CONSUMER = "fugata_server.consumer:Consumer"
# No task is acknowledged late, so there is none to cancel; without it, Celery warns at each loss.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(FUGATA_HOME / "beat-schedule.json")
CELERY_BEAT_SCHEDULER = "fugata_server.scheduler:Scheduler"
CELERY_BEAT_SCHEDULE = schedule.SCHEDULE

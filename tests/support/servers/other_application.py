"""A Celery application of somebody else, with Celery's default names, on OTHER_REDIS_URL."""

import os

import redis
from celery import Celery

#: The key that counts how often its task ran.
DONE = "other:done"

app = Celery("other", broker=os.environ.get("OTHER_REDIS_URL"), set_as_current=False)
app.conf.task_ignore_result = True


@app.task
def count() -> None:
    """Count itself."""
    with redis.Redis.from_url(os.environ["OTHER_REDIS_URL"]) as client:
        client.incr(DONE)

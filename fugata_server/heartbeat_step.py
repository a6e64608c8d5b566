"""The part of the Celery worker that keeps its heartbeat."""

from typing import Any

from celery import bootsteps

from fugata_server.heartbeat import touch

#: Seconds between two heartbeats.
PERIOD = 10.0


class HeartbeatStep(bootsteps.StartStopStep):
    """Touches the file as long as the worker's loop runs and is connected to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Begin, at each connection to the broker."""
        touch()
        self.timer = consumer.timer.call_repeatedly(PERIOD, touch)

    def stop(self, consumer: Any) -> None:
        """End, when the connection is lost or the worker ends."""
        if timer := getattr(self, "timer", None):
            timer.cancel()

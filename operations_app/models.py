"""What operators look at: counts by the hour, and when each task last succeeded."""

from django.db import models


class HourlyCount(models.Model):
    """How many events of a kind there were in an hour: what charts read instead of the trail."""

    hour = models.DateTimeField()
    kind = models.CharField(max_length=16)
    count = models.PositiveBigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["hour", "kind"], name="hour_and_kind_once")]

    def __str__(self) -> str:
        return f"{self.count} {self.kind} at {self.hour:%Y-%m-%d %H:%M}"


class TaskSuccess(models.Model):
    """When a periodic task last succeeded: proof that beat and a worker run."""

    task = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "task successes"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.task} at {self.at:%Y-%m-%d %H:%M:%S}"

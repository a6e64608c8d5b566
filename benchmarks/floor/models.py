"""The floor's only table."""

from typing import ClassVar

from django.db import models


class Note(models.Model):
    """The fields of a create as received: nothing is sealed, nothing expires."""

    objects: ClassVar[models.Manager["Note"]] = models.Manager()

    content = models.TextField()
    duration = models.CharField(max_length=8)
    one_time = models.BooleanField()
    metadata = models.CharField(max_length=1024)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "floor"

    def __str__(self) -> str:
        return f"note {self.pk}"

"""The response bodies of the sharing API."""

from typing import Annotated

import msgspec
from django.http.response import HttpResponseBase

from fugata_core.clock import iso
from fugata_core.responses import Timestamp, secret_answer
from secrets_app.actions.reveal import OpenedShare


class CreatedAnswer(msgspec.Struct):
    """What opens and what deletes the secret, told this once."""

    id: Annotated[str, msgspec.Meta(description="Secret identifier (shareable).")]
    deletion_token: Annotated[str, msgspec.Meta(description="For deleting it by hand: save it.")]
    expires_at: Timestamp


class OpenedAnswer(msgspec.Struct):
    """An opened secret. Written piece by piece (`secret_answer`), since it may be large."""

    content: Annotated[str, msgspec.Meta(description="The secret.")]
    metadata: Annotated[str | None, msgspec.Meta(description="The label; null if not set.")]
    expires_at: Timestamp
    one_time: Annotated[bool, msgspec.Meta(description="Whether this was its only opening.")]


class DeletedAnswer(msgspec.Struct):
    """The word that a secret was deleted."""

    message: str


def opened_answer(opened: OpenedShare) -> HttpResponseBase:
    """Return `opened` in the form that the API contract specifies."""
    answer = OpenedAnswer("", opened.label, iso(opened.expires_at), opened.one_time)
    rest = msgspec.structs.asdict(answer)
    del rest["content"]  # it is written piece by piece
    return secret_answer("content", opened.content, rest)

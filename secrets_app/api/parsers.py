"""The body of "create"."""

from typing import Annotated

import msgspec

from fugata_core.json_bodies import JsonDecoder, JsonParser
from secrets_app.labels import MAX_LABEL


class CreateBody(msgspec.Struct):
    """A secret to share. Fields that are not known are passed over."""

    content: Annotated[
        str,
        msgspec.Meta(
            description="Secret content: Unicode text, its size in UTF-8 at most MAX_SECRET_SIZE.",
            extra_json_schema={"minLength": 1},
        ),
    ]
    duration: Annotated[str, msgspec.Meta(description="How long it is kept.")]
    one_time: Annotated[
        bool | msgspec.UnsetType, msgspec.Meta(description="Delete it when it is first opened.")
    ] = msgspec.UNSET
    metadata: Annotated[
        str | None,
        msgspec.Meta(
            description="A label, which is not encrypted. No NUL.",
            extra_json_schema={"maxLength": MAX_LABEL, "pattern": "^[^\\u0000]*$"},
        ),
    ] = None


_create = JsonDecoder(
    CreateBody,
    {
        "content": "Invalid content: required, a string that is not empty",
        "duration": "Invalid duration: required, a string such as 1h",
        "one_time": "Invalid one_time: must be true or false",
        "metadata": "Invalid metadata: must be a string or null",
    },
)


class CreateParser(JsonParser[CreateBody]):
    """The parser of a create."""

    decoder = _create

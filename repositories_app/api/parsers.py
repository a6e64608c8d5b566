"""The body of "Set Secret"."""

from typing import Annotated

import msgspec

from fugata_core.json_bodies import JsonDecoder, JsonParser
from repositories_app.names import KEY_RULE


class SetBody(msgspec.Struct):
    """A secret of a repository. Fields that are not known are passed over."""

    secret_key: Annotated[str, msgspec.Meta(description=f"The key: {KEY_RULE}.")]
    secret_value: Annotated[
        str,
        msgspec.Meta(
            description="Unicode text, its size in UTF-8 at most MAX_SECRET_SIZE.",
            extra_json_schema={"minLength": 1},
        ),
    ]


class SetParser(JsonParser[SetBody]):
    """The parser of a set."""

    decoder = JsonDecoder(
        SetBody,
        {
            "secret_value": "Invalid secret_value: required, a string that is not empty",
            "secret_key": "Invalid secret_key: required, a string that is not empty",
        },
    )

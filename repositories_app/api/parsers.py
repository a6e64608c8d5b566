"""The body of "Set Secret"."""

import msgspec

from secrets_app.api.parsers import JsonDecoder, JsonParser


class SetBody(msgspec.Struct):
    """Contract: "Set Secret", request body."""

    secret_key: str
    secret_value: str


class SetParser(JsonParser[SetBody]):
    """DRF's parser of it."""

    decoder = JsonDecoder(
        SetBody,
        {
            "secret_value": "Invalid secret_value: required, a string that is not empty",
            "secret_key": "Invalid secret_key: required, a string that is not empty",
        },
    )

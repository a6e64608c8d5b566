"""The response bodies of the repositories API, besides lists of keys."""

import msgspec


class ValueAnswer(msgspec.Struct):
    """A secret's value. Written piece by piece (`secret_answer`), since it may be large."""

    secret_value: str

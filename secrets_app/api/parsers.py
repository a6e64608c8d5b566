"""The body of a create: decoded straight into four fields, so that nothing else takes memory."""

import codecs
from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser

from secrets_app.errors import BadRequest, MalformedJson, UnsupportedMediaType

_STEP = 2**18
_RULES = {
    "content": "Invalid content: required, a string that is not empty",
    "duration": "Invalid duration: required, a string such as 1h",
    "one_time": "Invalid one_time: must be true or false",
    "metadata": "Invalid metadata: must be a string or null",
}


class CreateBody(msgspec.Struct):
    """Contract: "Create Secret". Fields it does not know are passed over."""

    content: str
    duration: str
    one_time: bool = False
    metadata: str | None = None


_decoder = msgspec.json.Decoder(CreateBody)


def decode(body: bytes) -> CreateBody:
    """Return the fields of a JSON body. Raises BadRequest, naming the field that is wrong."""
    try:
        _check_utf8(body)
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from None
    except RecursionError:
        raise BadRequest("Malformed JSON: nested too deep") from None
    except msgspec.DecodeError as error:
        if "surrogate" in str(error):
            raise BadRequest("Invalid content: a lone surrogate is no Unicode text") from None
        raise MalformedJson() from None
    except UnicodeDecodeError:
        raise MalformedJson() from None


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError; what msgspec passes over it does not look at."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _STEP):  # not all at once: a body may be large
        decoder.decode(body[start : start + _STEP])
    decoder.decode(b"", final=True)


def _wrong_field(message: str) -> BadRequest:
    for field, rule in _RULES.items():
        if f"`$.{field}`" in message or f"`{field}`" in message:
            return BadRequest(rule)
    return MalformedJson()


class CreateParser(BaseParser):
    """DRF's parser of a create's JSON."""

    media_type = "application/json"

    def parse(  # type: ignore[override]  # the stubs know no typed body
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> CreateBody:
        """Return the body as CreateBody."""
        request = (parser_context or {})["request"]._request
        if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
            raise UnsupportedMediaType("Unsupported content encoding: send the body as it is")
        return decode(request.body)

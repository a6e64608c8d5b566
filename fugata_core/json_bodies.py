"""JSON bodies: decoded straight into the expected fields, so that nothing else takes memory."""

import codecs
from collections.abc import Mapping
from typing import IO, Any, Generic, TypeVar

import msgspec
from django.http import HttpRequest
from rest_framework.parsers import BaseParser
from rest_framework.utils.mediatypes import media_type_matches

from fugata_core.errors import BadRequest, MalformedJson, UnsupportedMediaType

_STEP = 2**18

T = TypeVar("T", bound=msgspec.Struct)


class JsonDecoder(Generic[T]):
    """Decodes bodies of one shape; unknown fields are ignored.

    `rules`: the error sentence for each field; the first field is the one that holds the secret.
    """

    def __init__(self, shape: type[T], rules: dict[str, str]) -> None:
        self._decoder, self._rules = msgspec.json.Decoder(shape), rules

    def decode(self, body: bytes) -> T:
        """Return the fields of a JSON body. Raises BadRequest, naming the field that is wrong.

        A byte order mark before it is passed over (RFC 8259, section 8.1).
        """
        try:
            body = body.removeprefix(codecs.BOM_UTF8)
            _check_utf8(body)
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise self._wrong_field(str(error)) from None
        except RecursionError:
            raise BadRequest("Malformed JSON: nested too deep") from None
        except msgspec.DecodeError as error:
            raise self._undecodable(str(error)) from None
        except UnicodeDecodeError:
            raise MalformedJson() from None

    def _wrong_field(self, message: str) -> BadRequest:
        for field, rule in self._rules.items():
            if f"`$.{field}`" in message or f"`{field}`" in message:
                return BadRequest(rule)
        return MalformedJson()

    def _undecodable(self, message: str) -> BadRequest:
        if "surrogate" not in message:
            return MalformedJson()
        return BadRequest(f"Invalid {next(iter(self._rules))}: a lone surrogate is no Unicode text")


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError for invalid UTF-8: msgspec does not check what it skips."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _STEP):  # not all at once: a body may be large
        decoder.decode(body[start : start + _STEP])
    decoder.decode(b"", final=True)


class JsonParser(BaseParser, Generic[T]):
    """DRF parser for such bodies; a subclass sets its decoder."""

    media_type = "application/json"
    decoder: JsonDecoder[T]

    @classmethod
    def accepts(cls, request: HttpRequest) -> bool:
        """Return whether the head of `request` announces such a body, not encoded further."""
        encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity")
        content_type = request.META.get("CONTENT_TYPE", "")
        return encoding == "identity" and media_type_matches(cls.media_type, content_type)

    def parse(  # type: ignore[override]  # the stubs know no typed body
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> T:
        """Return the body's fields."""
        request = (parser_context or {})["request"]._request
        if not self.accepts(request):
            raise UnsupportedMediaType("Unsupported content encoding: send the body as it is")
        return self.decoder.decode(request.body)

"""The sharing API's OpenAPI operations; drf-spectacular matches them to the URLs it finds."""

from django.conf import settings
from drf_spectacular.extensions import OpenApiViewExtension

from fugata_core.errors import (
    BadRequest,
    FugataError,
    InternalError,
    MalformedJson,
    SecretTooLarge,
    Unauthorized,
)
from fugata_openapi.describe import (
    ANYWHERE,
    WITH_BODY,
    Error,
    OpenApiObject,
    Tag,
    body,
    error_responses,
    links,
    ref,
    response,
    schemas,
    set_max_length,
    with_schema,
)
from secrets_app.api.parsers import CreateBody
from secrets_app.api.responses import CreatedAnswer, DeletedAnswer, OpenedAnswer
from secrets_app.errors import DecryptFailed, EncryptFailed, KeyReused, ShareNotFound
from secrets_app.idempotency import KEY_PATTERN, KEY_RULE
from secrets_app.ids import SHARE_ID_PATTERN

_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Secret identifier. It is a key too: treat it as you would the secret.",
    "schema": {"type": "string", "pattern": f"^{SHARE_ID_PATTERN}$"},
    "example": "fug_7x9k2m4n6p8q1r3s5t7u9v",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Random characters of the client's own. The same request under the same key gets"
    " the same answer for a short while, and nobody else does.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
    "example": "0e2af7d0c9b14c6c8a4f6d1d",
}
_WRONG_KEY = BadRequest(KEY_RULE)
_CREATE_EXAMPLE = {
    "content": "my-super-secret-password",
    "duration": "1h",
    "one_time": True,
    "metadata": "Production database password",
}
_CREATED = {
    "id": "fug_7x9k2m4n6p8q1r3s5t7u9v",
    "deletion_token": "tok_a1b2c3d4e5f6g7h8i9j0k1",
    "expires_at": "2025-12-01T13:30:00Z",
}
_OPENED = {
    "content": "my-super-secret-password",
    "metadata": "Production database password",
    "expires_at": "2025-12-01T13:30:00Z",
    "one_time": True,
}
_LINKS = links(
    {"id": "$response.body#/id"}, Open="retrieveSecret", Look="secretExists", Delete="deleteSecret"
)
_SHARES = Tag("Shares", parameters=[], security=[{}])


def components() -> dict[str, OpenApiObject]:
    """Return the schemas that the operations refer to, with the configured limits."""
    found = schemas(CreateBody, CreatedAnswer, OpenedAnswer, DeletedAnswer, Error)
    asked = found["CreateBody"]["properties"]
    asked["duration"]["enum"] = list(settings.TTL_PRESETS)
    asked["one_time"]["default"] = settings.FORCE_ONE_TIME
    set_max_length(asked["content"])
    return found


def _create() -> OpenApiObject:
    presets = ", ".join(settings.TTL_PRESETS)
    refused: list[FugataError] = [
        BadRequest(f"Invalid duration: must be one of {presets}"),
        MalformedJson(),
        SecretTooLarge(),
        KeyReused(),
        EncryptFailed(),
    ]
    created = response(
        "Created. The only time that id and deletion token are shown.",
        ref("schemas", "CreatedAnswer"),
        "Location",
        "Link",
        created=_CREATED,
    )
    return _SHARES.operation(
        "createSecret",
        "Create a secret",
        "Keeps an encrypted secret until it expires.",
        parameters=[_KEY],
        requestBody=body(CreateBody, once=_CREATE_EXAMPLE),
        responses={"201": created | {"links": _LINKS}}
        | error_responses(*refused, *WITH_BODY, *ANYWHERE),
    )


def _retrieve() -> OpenApiObject:
    opened = response("The secret.", ref("schemas", "OpenedAnswer"), opened=_OPENED)
    missing = error_responses(ShareNotFound())
    page = {"text/html": {"schema": {"type": "string"}}}
    for each in (opened, missing["404"]):
        each["content"] |= page
    return _SHARES.operation(
        "retrieveSecret",
        "Open a secret",
        "A one-time secret is deleted by this, and handed to exactly one reader. A browser, whose"
        " `Accept` prefers HTML, and a robot that previews links get a page that asks first, which"
        " uses nothing up.",
        parameters=[_ID, _KEY],
        responses={"200": opened}
        | missing
        | error_responses(_WRONG_KEY, DecryptFailed(), *ANYWHERE),
    )


def _exists() -> OpenApiObject:
    return _SHARES.operation(
        "secretExists",
        "Look whether a secret can be opened",
        "Uses nothing up.",
        parameters=[_ID],
        responses={"200": response("It can.")}
        | error_responses(ShareNotFound(), InternalError(), *ANYWHERE, bodiless=True),
    )


def _destroy() -> OpenApiObject:
    message = {"message": "Secret deleted successfully"}
    return _SHARES.operation(
        "deleteSecret",
        "Delete a secret",
        "Before it expires, with the deletion token from its creation. A reader who opened it under"
        " an Idempotency-Key destroys with that key what is kept for repeating the answer.",
        parameters=[_ID, _KEY],
        security=[{"deletionToken": []}],
        responses={"200": response("Deleted.", ref("schemas", "DeletedAnswer"), deleted=message)}
        | error_responses(_WRONG_KEY, Unauthorized(), ShareNotFound(), InternalError(), *ANYWHERE),
    )


class ShareViews(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Describe the viewset without changing it, as a drf-spectacular extension."""

    target_class = "secrets_app.api.views.ShareViewSet"

    def view_replacement(self) -> type:
        """Return the viewset with each action described."""
        operations = {
            "POST create": _create(),
            "GET retrieve": _retrieve(),
            "HEAD exists": _exists(),
            "DELETE destroy": _destroy(),
        }
        return with_schema(self.target, operations)

"""The repositories API's OpenAPI operations; drf-spectacular matches them to the URLs it finds."""

from drf_spectacular.extensions import OpenApiViewExtension

from fugata_core.errors import (
    BadRequest,
    Forbidden,
    FugataError,
    InternalError,
    MalformedJson,
    SecretTooLarge,
    Unauthorized,
)
from fugata_openapi.describe import (
    ANYWHERE,
    WITH_BODY,
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
from repositories_app.api.parsers import SetBody
from repositories_app.api.responses import ValueAnswer
from repositories_app.errors import RepositoryNotFound, SecretNotFound
from repositories_app.names import KEY_PATTERN, KEY_RULE, REPOSITORY_PATTERN, REPOSITORY_RULE

_REPOSITORY = {
    "name": "repoID",
    "in": "path",
    "required": True,
    "description": f"The repository's id: {REPOSITORY_RULE}.",
    "schema": {"type": "string", "pattern": f"^{REPOSITORY_PATTERN}$"},
    "example": "my-service",
}
_KEY = {
    "name": "secretKey",
    "in": "path",
    "required": True,
    "description": f"The secret's key: {KEY_RULE}.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
    "example": "MY_API_KEY",
}
_KEYS = ["DATABASE_URL_STAGING", "MY_API_KEY", "THIRD_PARTY_SERVICE_TOKEN"]
_SECRET = {"secret_key": "MY_API_KEY", "secret_value": "supersecretvalue123"}
_LINKS = links(
    {"repoID": "$request.path.repoID", "secretKey": "$request.body#/secret_key"},
    Read="getSecretValue",
    Look="secretValueExists",
    Remove="removeSecret",
)
_REPOSITORIES = Tag("Repositories", parameters=[_REPOSITORY], security=[{"accessToken": []}])
#: The errors that every operation may return.
_COMMON_ERRORS: list[FugataError] = [
    Unauthorized(),
    RepositoryNotFound(),
    InternalError(),
    *ANYWHERE,
]


def components() -> dict[str, OpenApiObject]:
    """Return the schemas that the operations refer to, with the configured limits."""
    found = schemas(SetBody, ValueAnswer)
    asked = found["SetBody"]["properties"]
    asked["secret_key"] |= {"pattern": f"^{KEY_PATTERN}$", "minLength": 1}
    set_max_length(asked["secret_value"])
    return found


def _set() -> OpenApiObject:
    refused: list[FugataError] = [
        BadRequest("Invalid secret_value: required, a string that is not empty"),
        BadRequest(f"Invalid secret_key: must be {KEY_RULE}"),
        MalformedJson(),
        Forbidden(),
        SecretTooLarge(),
    ]
    return _REPOSITORIES.operation(
        "setSecret",
        "Set a secret",
        "Creates it, or replaces its value: readers get the whole old or the whole new one.",
        requestBody=body(SetBody, secret=_SECRET),
        responses={"201": response("Created or updated. No body.") | {"links": _LINKS}}
        | error_responses(*refused, *_COMMON_ERRORS, *WITH_BODY),
    )


def _list() -> OpenApiObject:
    schema: OpenApiObject = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    examples: dict[str, list[str]] = {"keys": _KEYS, "none": []}
    return _REPOSITORIES.operation(
        "getSecretKeys",
        "List the keys",
        "The keys of all secrets of the repository, sorted by code point; no value.",
        responses={"200": response("The keys.", schema, **examples)}
        | error_responses(*_COMMON_ERRORS),
    )


def _list_head() -> OpenApiObject:
    return _REPOSITORIES.operation(
        "secretKeysExist",
        "Look whether the repository can be read",
        "As the list, without its body.",
        responses={"200": response("It can.")} | error_responses(*_COMMON_ERRORS, bodiless=True),
    )


def _retrieve() -> OpenApiObject:
    schema, example = ref("schemas", "ValueAnswer"), {"secret_value": "supersecretvalue123"}
    return _REPOSITORIES.operation(
        "getSecretValue",
        "Read a secret",
        "A failure of what keeps the values is a 500 and never a 404.",
        parameters=[_KEY],
        responses={"200": response("The value.", schema, secret=example)}
        | error_responses(SecretNotFound(), *_COMMON_ERRORS),
    )


def _exists() -> OpenApiObject:
    return _REPOSITORIES.operation(
        "secretValueExists",
        "Look whether there is a secret",
        "Reads no value.",
        parameters=[_KEY],
        responses={"200": response("There is.")}
        | error_responses(SecretNotFound(), *_COMMON_ERRORS, bodiless=True),
    )


def _destroy() -> OpenApiObject:
    return _REPOSITORIES.operation(
        "removeSecret",
        "Remove a secret",
        "For good.",
        parameters=[_KEY],
        responses={"204": response("Removed. No body.")}
        | error_responses(Forbidden(), SecretNotFound(), *_COMMON_ERRORS),
    )


class SecretViews(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Describe the viewset without changing it, as a drf-spectacular extension."""

    target_class = "repositories_app.api.views.SecretViewSet"

    def view_replacement(self) -> type:
        """Return the viewset with each action described."""
        operations = {
            "GET list": _list(),
            "HEAD list": _list_head(),
            "POST set": _set(),
            "GET retrieve": _retrieve(),
            "HEAD exists": _exists(),
            "DELETE destroy": _destroy(),
        }
        return with_schema(self.target, operations)

"""Both APIs in OpenAPI 3.1, gathered from the URL patterns and from API_SCHEMAS."""

from functools import reduce
from importlib import import_module
from operator import or_
from typing import Any

from django.conf import settings
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator

from fugata_core.responses import JSON
from fugata_core.routes import HEALTH, LIVENESS, READINESS
from fugata_openapi.describe import HEADERS, OpenApiObject

#: The API contract's names of path parameters.
_NAMES = {"share_id": "id", "repository": "repoID", "secret_key": "secretKey"}

_ORDER = ["post", "get", "head", "delete"]

_TOKENS: OpenApiObject = {
    "deletionToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "tok_…",
        "description": "The deletion token that came with the secret's creation.",
    },
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "fgt_…",
        "description": "An access token of a user who is a member of the repository. A repository"
        " that it may not see is the same 404 as one that does not exist.",
    },
}


class _Endpoints(EndpointEnumerator):
    """drf-spectacular's list, with HEAD: here that is an operation of its own."""

    def get_allowed_methods(self, callback: Any) -> list[str]:
        return [method.upper() for method in callback.actions]


class _Generator(SchemaGenerator):
    endpoint_inspector_cls = _Endpoints


def description() -> OpenApiObject:
    """Return the whole description."""
    schemas = [import_module(path) for path in settings.API_SCHEMAS]
    found: OpenApiObject = _Generator().get_schema(public=True)  # type: ignore[no-untyped-call]
    named = {old: f"{{{new}}}" for old, new in _NAMES.items()}
    found["paths"] = {
        path.format(**named): dict(sorted(each.items(), key=lambda item: _ORDER.index(item[0])))
        for path, each in found["paths"].items()
    }
    found["paths"] |= _health()
    found["components"] = {
        "schemas": reduce(or_, (schema.components() for schema in schemas)),
        "headers": HEADERS,
        "securitySchemes": _TOKENS,
    }
    return found


def _health() -> OpenApiObject:
    well = {"status": "ok"}
    unwell = {"status": "unhealthy", "error": "Database connection failed"}
    alive = _probe("Is the process running?", "livez", {"200": _state("It runs.", well)})
    answers = {"200": _state("Well.", well), "503": _state("Unwell.", unwell)}
    return {
        HEALTH: _probe("Is the service well?", "healthz", answers),
        READINESS: _probe("Can it at least open what is stored?", "readyz", answers),
        LIVENESS: alive,
    }


def _probe(summary: str, name: str, responses: OpenApiObject) -> OpenApiObject:
    common = {"summary": summary, "tags": ["Health"], "security": [{}]}
    bodiless = {
        status: {"description": answer["description"]} for status, answer in responses.items()
    }
    return {
        "get": common | {"operationId": name, "responses": responses},
        "head": common | {"operationId": f"{name}Head", "responses": bodiless},
    }


def _state(description: str, example: dict[str, str]) -> OpenApiObject:
    required = {name: {"type": "string"} for name in example}
    schema = {"type": "object", "required": list(example), "properties": required}
    content = {JSON: {"schema": schema, "example": example}}
    return {"description": description, "content": content}

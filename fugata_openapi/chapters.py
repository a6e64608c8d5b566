"""The description as /docs shows it: references resolved, examples written out."""

import json
from http import HTTPStatus
from typing import Any, cast

from fugata_core.responses import JSON
from fugata_openapi.describe import OpenApiObject


def chapters(found: OpenApiObject) -> list[OpenApiObject]:
    """Return the tags of a description in their order, each with its operations."""
    reader = _Reader(found)
    operations = [
        reader.operation(path, method, operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]
    return [
        tag | {"operations": [each for each in operations if each["tag"] == tag["name"]]}
        for tag in found["tags"]
    ]


class _Reader:
    """Reads a description whose parts refer to its components."""

    def __init__(self, found: OpenApiObject) -> None:
        self._components = found["components"]

    def _resolved(self, part: OpenApiObject) -> OpenApiObject:
        if "$ref" not in part:
            return part
        kind, name = part["$ref"].split("/")[-2:]
        return cast(OpenApiObject, self._components[kind][name])

    def operation(self, path: str, method: str, operation: OpenApiObject) -> OpenApiObject:
        """Return what the page shows of an operation."""
        schemes = [name for way in operation["security"] for name in way]
        return {
            "id": operation["operationId"],
            "tag": operation["tags"][0],
            "method": method.upper(),
            "path": path,
            "summary": operation["summary"],
            "description": operation.get("description", ""),
            "token": [self._components["securitySchemes"][name] for name in schemes],
            "parameters": operation.get("parameters", []),
            "body": self._media(operation.get("requestBody", {})),
            "answers": [self._answer(*each) for each in sorted(operation["responses"].items())],
        }

    def _answer(self, status: str, answer: OpenApiObject) -> OpenApiObject:
        headers = answer.get("headers", {}).items()
        return {
            "status": status,
            "phrase": HTTPStatus(int(status)).phrase,
            "good": status.startswith("2"),
            "description": answer["description"],
            "headers": [{"name": name} | self._resolved(header) for name, header in headers],
            "body": self._media(answer),
        }

    def _media(self, part: OpenApiObject) -> OpenApiObject | None:
        """Return the fields and examples of a JSON body, or None where there is none."""
        media = part.get("content", {}).get(JSON)
        if media is None:
            return None
        schema = self._resolved(media["schema"])
        given = [example["value"] for example in media.get("examples", {}).values()]
        given += [media["example"]] if "example" in media else []
        required = schema.get("required", [])
        return {
            "fields": [
                {"name": name, "required": name in required, "type": _type(field), **field}
                for name, field in schema.get("properties", {}).items()
            ],
            "examples": [json.dumps(value, indent=2, ensure_ascii=False) for value in given],
        }


def _type(field: dict[str, Any]) -> str:
    alternatives = field.get("anyOf", [field])
    return " or ".join(each.get("type", "any") for each in alternatives)

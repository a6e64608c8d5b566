"""/openapi.json says what the contracts say, of every address that there is, and is right."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from django.test import Client
from django.urls import get_resolver
from openapi_spec_validator import validate
from pytest_django.fixtures import Settings

from fugata_core.routes import PROBES
from fugata_openapi import views
from fugata_openapi.describe import OpenApiObject
from fugata_openapi.document import description

HERE = Path(__file__).parent
#: Operation, status and example of each answer that the contracts write down.
CONTRACT = {
    operation: said
    for name in ("fugata-api.json", "repository-secrets-api.json")
    for operation, said in json.loads((HERE / name).read_text())["operations"].items()
}
each_operation = pytest.mark.parametrize("name", CONTRACT)


@pytest.fixture(scope="module")
def found() -> OpenApiObject:
    return description()


def operation(found: OpenApiObject, name: str) -> OpenApiObject:
    method, path = name.split(" ")
    return cast(OpenApiObject, found["paths"][path][method.lower()])


def operations(found: OpenApiObject) -> Iterator[tuple[str, OpenApiObject]]:
    for path, methods in found["paths"].items():
        for method, said in methods.items():
            yield f"{method.upper()} {path}", said


def check(found: OpenApiObject, schema: OpenApiObject, value: object) -> None:
    """Raise unless `value` is what `schema` says, and nothing besides."""
    whole = {"$ref": "#/s", "s": schema, "components": found["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)
    target = schema
    if "$ref" in schema:
        target = found["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        assert value.keys() <= target["properties"].keys()


def media(part: OpenApiObject) -> OpenApiObject:
    return cast(OpenApiObject, part["content"]["application/json"])


def examples(media: OpenApiObject) -> list[Any]:
    given = [example["value"] for example in media.get("examples", {}).values()]
    return given + ([media["example"]] if "example" in media else [])


def test_it_is_openapi_3_1(found: OpenApiObject) -> None:
    assert found["openapi"].startswith("3.1")
    validate(found)


def routes() -> Iterator[str]:
    """Yield every method and address of DRF views, as the resolver knows them."""
    for included in get_resolver().url_patterns:
        for route in getattr(included, "url_patterns", []):
            actions = getattr(route.callback, "actions", {})
            yield from (f"{method.upper()} /{route.pattern}" for method in actions)


def test_every_address_is_described(found: OpenApiObject) -> None:
    names = {"<str:share_id>": "{id}", "<str:repository>": "{repoID}"}
    names |= {"<path:secret_key>": "{secretKey}"}
    patterns = "\n".join(routes())
    for old, new in names.items():
        patterns = patterns.replace(old, new)
    expected = set(patterns.splitlines())
    health = {f"{method} {path}" for method in ("GET", "HEAD") for path in PROBES}
    assert len(expected) == 10
    assert {name for name, _ in operations(found)} == expected | health


@each_operation
def test_what_the_contract_asks_for(found: OpenApiObject, name: str) -> None:
    asked = CONTRACT[name].get("body")
    if asked is None:
        assert "requestBody" not in operation(found, name)
        return
    schema = media(operation(found, name)["requestBody"])["schema"]
    shape = found["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert shape["required"] == asked["required"]
    assert shape["properties"].keys() == {*asked["required"], *asked["optional"]}
    for field, default in asked["optional"].items():
        assert shape["properties"][field]["default"] == default
    for example in asked["examples"]:
        check(found, schema, example)
    assert all(example in asked["examples"] for example in examples(media_of_body(found, name)))


def media_of_body(found: OpenApiObject, name: str) -> OpenApiObject:
    return media(operation(found, name)["requestBody"])


@each_operation
def test_what_the_contract_answers(found: OpenApiObject, name: str) -> None:
    for status, given in CONTRACT[name]["answers"].items():
        answer = operation(found, name)["responses"][status]
        if given is None:
            assert "content" not in answer
            continue
        for example in given:
            check(found, media(answer)["schema"], example)
            if status >= "400":
                assert example in examples(media(answer))


def test_examples_are_what_they_illustrate(found: OpenApiObject) -> None:
    checked = 0
    for _, said in operations(found):
        for part in [said.get("requestBody", {}), *said["responses"].values()]:
            if "application/json" in part.get("content", {}):
                for example in examples(media(part)):
                    check(found, media(part)["schema"], example)
                    checked += 1
    assert checked > 60


def test_every_answer_has_its_headers(found: OpenApiObject) -> None:
    more = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
    for name, said in operations(found):
        if any(path in name for path in PROBES):
            continue
        assert {"429", "500", "503"} <= said["responses"].keys()
        for status, answer in said["responses"].items():
            headers = answer["headers"].keys()
            assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= headers
            assert "X-Request-ID" in headers
            assert more.get(status, "X-Request-ID") in headers
    created = operation(found, "POST /secrets")["responses"]["201"]["headers"]
    assert {"Location", "Link"} <= created.keys()


def test_who_may(found: OpenApiObject) -> None:
    schemes = {name: said["security"] for name, said in operations(found)}
    assert schemes["DELETE /secrets/{id}"] == [{"deletionToken": []}]
    assert schemes["POST /secrets"] == [{}]
    for name, security in schemes.items():
        if "/repositories" in name:
            assert security == [{"accessToken": []}]


def test_limits_are_those_of_the_settings(settings: Settings) -> None:
    settings.TTL_PRESETS = {"2m": None}
    settings.MAX_SECRET_SIZE = 4711
    found = description()
    fields = found["components"]["schemas"]["CreateBody"]["properties"]
    assert fields["duration"]["enum"] == ["2m"]
    assert fields["content"]["maxLength"] == 4711
    assert "4,711 bytes" in fields["content"]["description"]
    said = examples(media(operation(found, "POST /secrets")["responses"]["400"]))
    assert {"error": "Invalid duration: must be one of 2m"} in said


@pytest.fixture
def client(settings: Settings) -> Client:
    settings.RATE_LIMIT_RPM = settings.RATE_LIMIT_BURST = 1_000_000
    return Client()


def test_it_is_served_and_may_be_cached(client: Client) -> None:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == json.loads(views.document()[0])
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    again = client.get("/openapi.json", headers={"if-none-match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert client.head("/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_nothing_else_is_done_there(client: Client, path: str) -> None:
    answer = client.post(path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_the_page_has_every_operation(client: Client, found: OpenApiObject) -> None:
    page = client.get("/docs").content.decode()
    for name, said in operations(found):
        assert f'id="{said["operationId"]}"' in page, name
        assert said["summary"] in page
    assert "Invalid duration: must be one of 5m, 1h, 24h, 7d, 30d" in page
    assert "fug_7x9k2m4n6p8q1r3s5t7u9v" in page


def test_several_may_ask_at_once() -> None:
    """drf-spectacular is no help there: it changes what it looks at."""
    views._clear_caches()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(views.document) for _ in range(8)]
        assert len({each.result() for each in asked}) == 1
    assert json.loads(views.document()[0]) == json.loads(json.dumps(description()))

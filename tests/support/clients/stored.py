"""What a service keeps, read past the service: its tables, its files, its Redis database."""

import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
import yaml

from tests.support.servers.service import Service

Row = tuple[Any, ...]
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


def query(service: Service, statement: str, *parameters: object) -> list[Row]:
    """Run one statement (placeholders: `?`) in the service's database and return its rows."""
    url = service.settings.get("DATABASE_URL")
    if url:
        return _postgresql(url, statement.replace("?", "%s"), parameters)
    path = service.home / "fugata.sqlite3"
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.close()


def _postgresql(url: str, statement: str, parameters: tuple[object, ...]) -> list[Row]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def count(service: Service, table: str, where: str = "1 = 1", *parameters: object) -> int:
    """Return how many rows of `table` there are."""
    return int(query(service, f"SELECT count(*) FROM {table} WHERE {where}", *parameters)[0][0])


def values(service: Service) -> int:
    """Return how many sealed values there are, in the database or in Kubernetes."""
    if service.settings.get("VALUE_STORE") != "kubernetes":
        return count(service, "vault_app_storedvalue")
    access = yaml.safe_load(Path(service.settings["KUBECONFIG"]).read_text())
    cluster, token = access["clusters"][0]["cluster"], access["users"][0]["user"]["token"]
    context = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
    place = f"/api/v1/namespaces/{service.settings['KUBERNETES_NAMESPACE']}/secrets"
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(cluster["server"] + place, headers=headers, verify=context, timeout=60)
    return len(answer.json()["items"])


def tables(service: Service) -> Iterator[tuple[str, bytes]]:
    """Yield every row of every table of a PostgreSQL database, all its fields as bytes."""
    for (table,) in query(service, _TABLES):
        for row in query(service, f'SELECT * FROM "{table}"'):
            yield f"table {table}", b"\0".join(map(_bytes, row))


def _bytes(field: object) -> bytes:
    return bytes(field) if isinstance(field, bytes | memoryview) else str(field).encode()


def files(service: Service, *apart: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file of the service's home, except those named."""
    for path in sorted(service.home.rglob("*")):
        if path.is_file() and path.name not in apart:
            yield f"file {path.relative_to(service.home)}", path.read_bytes()


def redis_entries(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield every key of a Redis database with its value."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter(count=1000):
            yield "redis", key + b"\0" + _redis_value(client, key)


def _redis_value(client: redis.Redis, key: bytes) -> bytes:
    value = client.get(key) if client.type(key) == b"string" else client.dump(key)
    return value if isinstance(value, bytes) else b""

"""A client for the Secrets of one namespace on the Kubernetes API server.

Configuration, TLS, tokens (and their rotation) and the connection pool are the official client's.
Its models are not used: they cost more than the call itself. Any error from these becomes
StoreUnavailable here and nowhere else, without a value or a name in its message.
"""

import itertools
import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from django.core.exceptions import ImproperlyConfigured
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from vault_app.errors import StoreUnavailable

T = TypeVar("T")

#: Connect timeout in seconds; the rest of the time is for the response.
CONNECT_TIMEOUT = 3.0
#: Attempts per call at most, and the first pause between two (seconds), which doubles.
ATTEMPTS = 4
FIRST_BACKOFF = 0.1
_CHUNK_SIZE = 2**18
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#: Statuses worth a retry (429: too many requests; 5xx: a passing server error).
_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_REMEDIES = {
    401: "are the credentials in KUBECONFIG, or the pod's token, valid?",
    403: "does the Role of deploy/kubernetes apply to this identity?",
    404: "does the namespace that KUBERNETES_NAMESPACE names exist?",
}


class ListedMetadata(msgspec.Struct, rename="camel"):
    """An object as a listing shows it."""

    name: str
    creation_timestamp: datetime


class _Listed(msgspec.Struct):
    metadata: ListedMetadata


class _PageMetadata(msgspec.Struct):
    next: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    items: list[_Listed] | None  # null when there is none
    metadata: _PageMetadata


class _Failure(msgspec.Struct):
    metadata: _PageMetadata = msgspec.field(default_factory=_PageMetadata)


class _Object(msgspec.Struct):
    data: dict[str, bytes] = {}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: the objects' metadata, the server's time, and the continue token of
    the next page (empty: this was the last).
    """

    objects: list[ListedMetadata]
    now: datetime
    next: str


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    accepted: tuple[int, ...]
    body: bytes | None = None
    accept: str = _JSON


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Any
    body: bytes


def configuration(kubeconfig: str, connections: int) -> Configuration:
    """Return the client's configuration: the pod's own, else that of the file `kubeconfig`.

    `connections`: how many threads may call at once. Raises ImproperlyConfigured, naming
    KUBECONFIG.
    """
    access = Configuration()
    access.retries = False  # urllib3's own would multiply the timeout; ours keep to it
    access.connection_pool_maxsize = connections
    try:
        config.load_incluster_config(client_configuration=access)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        _load_kubeconfig(access, kubeconfig)
    return access


def _load_kubeconfig(access: Configuration, kubeconfig: str) -> None:
    try:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig or None,
            client_configuration=access,
            persist_config=False,
        )
    except Exception:  # a broken file may make the loader raise anything, and quote the file
        raise ImproperlyConfigured(
            "KUBECONFIG: there is no access to a Kubernetes cluster. Outside a cluster it must"
            " name a usable kubeconfig file (its default is ~/.kube/config)."
        ) from None


class SecretsApi:
    """API calls, each with a `deadline` (on the monotonic clock, in seconds)."""

    def __init__(self, access: Configuration, namespace: str) -> None:
        self._client = ApiClient(access)
        self._pool = self._client.rest_client.pool_manager
        self._path = f"/api/v1/namespaces/{namespace}/secrets"

    def create(self, manifest: dict[str, Any], deadline: float) -> bool:
        """Create an object, its bytes as base64; return False if one of that name exists."""
        body = msgspec.json.encode(manifest)
        return self._ask(_Call("POST", self._path, (201, 409), body), deadline).status == 201

    def read(self, name: str, deadline: float) -> dict[str, bytes] | None:
        """Return an object's data, or None where there is no object of that name."""
        answer = self._ask(_Call("GET", self._named(name), (200, 404)), deadline)
        return _decoded(answer.body, _Object).data if answer.status == 200 else None

    def delete(self, name: str, deadline: float) -> None:
        """Delete an object, if there is one of that name."""
        self._ask(_Call("DELETE", self._named(name), (200, 202, 404)), deadline)

    def page(self, selector: str, limit: int, start: str, deadline: float) -> Page:
        """Return a page of the objects that match `selector`: metadata, no values."""
        query = {"labelSelector": selector, "limit": str(limit), "continue": start}
        path = f"{self._path}?{urlencode(query)}"
        answer = self._ask(_Call("GET", path, (200, 410), accept=_METADATA), deadline)
        if answer.status == 410:
            return Page([], _date(answer), _newer(answer.body))
        page = _decoded(answer.body, _Page)
        return Page([item.metadata for item in page.items or ()], _date(answer), page.metadata.next)

    def _named(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"

    def _ask(self, call: _Call, deadline: float) -> _Answer:
        """Return an accepted answer, retrying: all of our calls are safe to repeat."""
        for attempt in itertools.count(1):
            pause, final = FIRST_BACKOFF * 2 ** (attempt - 1), False
            try:
                answer = self._once(call, deadline)
            except (HTTPError, OSError, config.ConfigException) as error:
                trouble = f"did not answer a {call.method} ({type(error).__name__})"
            else:
                if answer.status in call.accepted:
                    return answer
                trouble, final = _refusal(call, answer), answer.status not in _TRANSIENT_STATUSES
                pause = _retry_after(answer) or pause
            if final or attempt == ATTEMPTS or time.monotonic() + pause >= deadline:
                break
            time.sleep(pause)
        raise StoreUnavailable(f"the Kubernetes API server {trouble}")

    def _once(self, call: _Call, deadline: float) -> _Answer:
        left = max(deadline - time.monotonic(), 0.001)
        response = self._pool.request(
            call.method,
            self._client.configuration.host + call.path,
            body=call.body,
            headers=self._headers(call),
            timeout=Timeout(connect=min(CONNECT_TIMEOUT, left), read=left),
            redirect=False,
            preload_content=False,
        )
        return _Answer(response.status, response.headers, _read(response, deadline))

    def _headers(self, call: _Call) -> dict[str, str]:
        headers = {"Accept": call.accept, "User-Agent": "fugata", "Content-Type": _JSON}
        who = ["BearerToken"]  # renewed by the official client where it rotates
        self._client.update_params_for_auth(headers, [], who, call.path, call.method, None)
        return headers


def _read(response: BaseHTTPResponse, deadline: float) -> bytes:
    """Return the body; a server that trickles it is cut off at the deadline."""
    pieces = []
    while piece := response.read1(_CHUNK_SIZE):
        pieces.append(piece)
        left = deadline - time.monotonic()
        connection = response.connection
        if not isinstance(connection, HTTPConnection) or connection.sock is None:
            continue  # everything has arrived
        if left <= 0:
            response.close()
            raise TimeoutError
        connection.sock.settimeout(left)
    response.release_conn()
    return b"".join(pieces)


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreUnavailable("the Kubernetes API server's answer is not what it was") from None


def _newer(body: bytes) -> str:
    """Return the continue token for an expired listing: the 410 response offers a newer one."""
    if start := _decoded(body, _Failure).metadata.next:
        return start
    raise StoreUnavailable("the Kubernetes API server broke a listing off")


def _refusal(call: _Call, answer: _Answer) -> str:
    remedy = _REMEDIES.get(answer.status)
    return f"answered {answer.status} to a {call.method}" + (f": {remedy}" if remedy else "")


def _retry_after(answer: _Answer) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _date(answer: _Answer) -> datetime:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        raise StoreUnavailable("the Kubernetes API server's answer has no date") from None

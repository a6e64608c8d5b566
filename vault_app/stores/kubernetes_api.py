"""A client for the Kubernetes API server, and for the Secrets of one namespace on it.

The connection and the credentials are the official client's (kubernetes_access.py). Its models are
not used: they cost more than the call itself. Any error from these becomes StoreUnavailable here
and nowhere else, without a value or a name in its message.
"""

import itertools
import time
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from kubernetes import config
from kubernetes.client import ApiClient
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, SSLError

from vault_app.backoff import backoff
from vault_app.errors import StoreUnavailable
from vault_app.stores.kubernetes_access import Access
from vault_app.stores.kubernetes_status import refusal, status_of

T = TypeVar("T")

#: Connect timeout in seconds; the rest of the time is for the response.
CONNECT_TIMEOUT = 3.0
#: Attempts per call at most, where the server does not say how long to wait.
ATTEMPTS = 4
_CHUNK_SIZE = 2**18
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#: Statuses worth a retry (429: too many requests; 5xx: a passing server error).
_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
#: The reason that the API server gives where a refusal is an outcome: of a PUT, a conflict is one.
_OUTCOMES = {(404, False): "NotFound", (409, False): "AlreadyExists", (409, True): "Conflict"}


class ListedMetadata(msgspec.Struct, rename="camel"):
    """An object as a listing shows it."""

    name: str
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None


class _Listed(msgspec.Struct):
    metadata: ListedMetadata


class _PageMetadata(msgspec.Struct):
    next: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    items: list[_Listed] | None  # null when there is none
    metadata: _PageMetadata


class _Failure(msgspec.Struct):
    metadata: _PageMetadata = msgspec.field(default_factory=_PageMetadata)


class _StoredMetadata(msgspec.Struct, rename="camel"):
    labels: dict[str, str] = {}
    finalizers: list[str] = []
    deletion_timestamp: datetime | None = None


class StoredSecret(msgspec.Struct):
    """An object as the server has it."""

    data: dict[str, bytes] = {}
    immutable: bool = False
    metadata: _StoredMetadata = msgspec.field(default_factory=_StoredMetadata)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: the objects' metadata, the server's time, and the continue token of
    the next page (empty: this was the last).
    """

    objects: list[ListedMetadata]
    now: datetime
    next: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `accepted`: the statuses that are outcomes, not failures."""

    method: str
    path: str
    accepted: tuple[int, ...]
    body: bytes | None = None
    accept: str = _JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered."""

    status: int
    headers: Any
    body: bytes


class KubernetesApi:
    """Calls of the API server, with credentials that are read anew where it refuses them."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def ask(self, call: Call, deadline: float) -> Answer:
        """Return an accepted answer, retrying: all of our calls are safe to repeat.

        Raises StoreUnavailable.
        """
        for attempt in itertools.count(1):
            try:
                answer = self._authorized(call, deadline)
            except (HTTPError, OSError, config.ConfigException) as error:
                trouble = f"did not answer a {call.method} ({type(error).__name__})"
                pause = backoff(attempt) if attempt < ATTEMPTS else None
            else:
                if _is_accepted(call, answer):
                    return answer
                trouble = refusal(call.method, answer.status, answer.body)
                pause = _pause_after(answer, attempt)
            if pause is None or time.monotonic() + pause >= deadline:
                break
            time.sleep(pause)
        raise StoreUnavailable(f"the Kubernetes API server {trouble}")

    def _authorized(self, call: Call, deadline: float) -> Answer:
        """Return the answer; if it refuses our credentials, the one to those read anew."""
        client = self._access.client
        try:
            answer = self._once(client, call, deadline)
        except SSLError:  # a certificate of ours that ran out, or an authority that was replaced
            if not self._access.renew(client, deadline):
                raise
        else:
            # 403: who has no credentials, as they were being written, is anonymous.
            refused = answer.status in {401, 403}
            if not refused or not self._access.renew(client, deadline):
                return answer
        return self._once(self._access.client, call, deadline)

    def _once(self, client: ApiClient, call: Call, deadline: float) -> Answer:
        left = deadline - time.monotonic()
        if left <= 0:  # whoever waits for what this does has gone on
            raise TimeoutError
        response = client.rest_client.pool_manager.request(
            call.method,
            client.configuration.host + call.path,
            body=call.body,
            headers=_headers(client, call),
            timeout=Timeout(connect=min(CONNECT_TIMEOUT, left), read=left),
            redirect=False,
            preload_content=False,
        )
        return Answer(response.status, response.headers, _read(response, deadline))


class SecretsApi(KubernetesApi):
    """Calls on Secrets, each with a `deadline` (on the monotonic clock, in seconds)."""

    def __init__(self, access: Access, namespace: str) -> None:
        super().__init__(access)
        self._path = f"/api/v1/namespaces/{namespace}/secrets"

    def create(
        self, manifest: dict[str, Any], deadline: float, *, dry_run: bool = False
    ) -> StoredSecret | None:
        """Create an object, its bytes as base64, and return it as the server kept it.

        None if one of that name exists. `dry_run`: return it as the server would keep it; None
        also where a webhook or a proxy before the server takes no dry runs.
        """
        body = msgspec.json.encode(manifest)
        call = Call("POST", self._path, (201, 409), body)
        if dry_run:
            call = replace(call, path=f"{self._path}?dryRun=All", accepted=(201, 400, 409))
        answer = self.ask(call, deadline)
        return decoded(answer.body, StoredSecret) if answer.status == 201 else None

    def read(self, name: str, deadline: float) -> StoredSecret | None:
        """Return an object, or None where there is no object of that name."""
        answer = self.ask(Call("GET", self._named(name), (200, 404)), deadline)
        return decoded(answer.body, StoredSecret) if answer.status == 200 else None

    def delete(self, name: str, deadline: float) -> bool:
        """Delete an object; return whether there is none of that name now.

        If not, its finalizers keep it for now.
        """
        answer = self.ask(Call("DELETE", self._named(name), (200, 202, 404)), deadline)
        return answer.status == 404 or not decoded(answer.body, StoredSecret).metadata.finalizers

    def page(self, selector: str, limit: int, start: str, deadline: float) -> Page:
        """Return a page of the objects that match `selector`: metadata, no values."""
        query = {"labelSelector": selector, "limit": str(limit), "continue": start}
        path = f"{self._path}?{urlencode(query)}"
        answer = self.ask(Call("GET", path, (200, 410), accept=_METADATA), deadline)
        if answer.status == 410:
            return Page([], _date(answer), _newer(answer.body))
        page = decoded(answer.body, _Page)
        return Page([item.metadata for item in page.items or ()], _date(answer), page.metadata.next)

    def _named(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"


def _headers(client: ApiClient, call: Call) -> dict[str, str]:
    headers = {"Accept": call.accept, "User-Agent": "fugata", "Content-Type": _JSON}
    who = ["BearerToken"]  # renewed by the official client where it rotates
    client.update_params_for_auth(headers, [], who, call.path, call.method, None)
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


def decoded(body: bytes, kind: type[T]) -> T:
    """Return the body as an object of that kind. Raises StoreUnavailable."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreUnavailable("the Kubernetes API server's answer is not what it was") from None


def _newer(body: bytes) -> str:
    """Return the continue token for an expired listing: the 410 response offers a newer one."""
    if start := decoded(body, _Failure).metadata.next:
        return start
    raise StoreUnavailable("the Kubernetes API server broke a listing off")


def _is_accepted(call: Call, answer: Answer) -> bool:
    """Return whether it is one of the call's outcomes.

    409 may mean a conflict too; and a 404 of a proxy says nothing about an object.
    """
    reason = _OUTCOMES.get((answer.status, call.method == "PUT"))
    said = reason is None or status_of(answer.body).reason == reason
    return answer.status in call.accepted and said


def _pause_after(answer: Answer, attempt: int) -> float | None:
    """Return the seconds to wait before the next attempt; None if there is to be none.

    What says when to come back, or that others were first (a quota's count, for instance), may
    take until the deadline.
    """
    if answer.status == 409:
        is_conflict = status_of(answer.body).reason == "Conflict"
        return backoff(attempt) if is_conflict or attempt < ATTEMPTS else None
    if answer.status not in _TRANSIENT_STATUSES:
        return None
    text = answer.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return max(float(text), backoff(attempt))
    return backoff(attempt) if attempt < ATTEMPTS else None


def _date(answer: Answer) -> datetime:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        raise StoreUnavailable("the Kubernetes API server's answer has no date") from None

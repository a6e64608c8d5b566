"""AWS KMS: symmetric keys that never leave it.

A key's id is `aws:` and its entry in AWS_KMS_KEY_ID. The provider's part of a wrapped key is KMS's
ciphertext. The SHA-256 of header and context is the encryption context, which AWS logs: its logs
show which calls belong together, but not to which value.
"""

import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import requests
from botocore import exceptions
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.parsers import ResponseParserError
from django.core.exceptions import ImproperlyConfigured
from urllib3 import HTTPResponse

from fugata_core.limits import REWRAP_THREADS
from vault_app.errors import (
    DecryptionFailed,
    KeyServiceAway,
    KeyServiceBusy,
    KeyUnavailable,
    VaultError,
)
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider
from vault_app.keys.retries import retrying
from vault_app.keys.transport import (
    AnswerTooLarge,
    cause,
    is_late,
    time_left,
    time_limit,
    timed_session,
)

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

#: Bytes of a ciphertext at most (KMS's own limit).
_MAX_CIPHERTEXT = 6144
#: KMS's codes for bytes that it did not make, or made with another key or context.
_DECRYPTION_ERRORS = {"InvalidCiphertextException", "IncorrectKeyException"}
_REFUSALS = {
    "NotFoundException": "AWS KMS has no such key; see AWS_KMS_KEY_ID and AWS_REGION",
    "DisabledException": "the AWS KMS key is disabled",
    "KMSInvalidStateException": "the AWS KMS key can't be used in its state",
    "InvalidKeyUsageException": "AWS_KMS_KEY_ID: the key is not one that encrypts",
    "AccessDeniedException": "AWS KMS refused: the credentials may not use the key",
    "UnrecognizedClientException": "AWS KMS refused the credentials",
    "InvalidSignatureException": "AWS KMS refused the credentials",
    "ExpiredTokenException": "AWS KMS refused the credentials, which expired",
}
#: Codes for who asks too often, and for what is KMS's own failure and may pass.
_BUSY = {
    "LimitExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_PASSING = {
    "DependencyTimeoutException",
    "InternalFailure",
    "KMSInternalException",
    "KeyUnavailableException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
}


class AwsKms(KeyProvider):
    """Calls AWS KMS for each operation. The first of `keys` (key ids or ARNs) wraps, all unwrap.

    `timeout`: seconds that a call may take, retries included; `connections`: how many threads may
    call at once. Credentials are found as the AWS tools find them.
    Raises ImproperlyConfigured on construction, naming the setting.
    """

    name = "aws"
    is_remote = True
    concurrency = REWRAP_THREADS

    def __init__(
        self,
        keys: Sequence[str],
        region: str = "",
        endpoint: str = "",
        timeout: float = 5.0,
        connections: int = 16,
    ) -> None:
        self._keys, self.timeout = {f"{self.name}:{key}": key for key in keys}, timeout
        self._region = region or _region_of(keys[0]) or _configured_region()
        self._endpoint, self._connections = endpoint, connections
        # Credentials may come from anywhere, in any time: calls wait for these threads.
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="aws-kms")
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="aws-kms-client")
        self._lock = threading.Lock()
        self._making = self._make()

    def _make(self) -> "Future[KMSClient]":
        """Begin to make the client, which takes long, and may ask elsewhere for credentials."""
        made = (self._region, self._endpoint, self.timeout, self._connections)
        return self._maker.submit(_new_client, *made)

    @property
    def primary(self) -> str:
        """The id of the first key."""
        return next(iter(self._keys))

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key, wrapped by KMS under the first key."""
        header = wrapped_key.header(self.primary)
        ciphertext = self._call(
            lambda client: client.encrypt(
                KeyId=self._keys[self.primary],
                Plaintext=data_key,
                EncryptionContext=_encryption_context(header, context),
            )["CiphertextBlob"]
        )
        if not 0 < len(ciphertext) <= _MAX_CIPHERTEXT:
            raise KeyUnavailable(_NONSENSE)
        return header + ciphertext

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, unwrapped by KMS."""
        key_id, header, rest = wrapped_key.split(wrapped)
        key = self._keys.get(key_id)
        if key is None:  # a key that no setting lists may belong to somebody else
            raise KeyUnavailable("AWS_KMS_KEY_ID does not list the key")
        if not rest:
            raise DecryptionFailed("the wrapped data key is too short")
        data_key = self._call(
            lambda client: client.decrypt(
                KeyId=key,
                CiphertextBlob=rest,
                EncryptionContext=_encryption_context(header, context),
            )["Plaintext"]
        )
        if len(data_key) != wrapped_key.DATA_KEY_SIZE:
            raise KeyUnavailable(_NONSENSE)
        return data_key

    def _call(self, call: Callable[["KMSClient"], bytes]) -> bytes:
        with time_limit(self.timeout):
            asked = self._threads.submit(self._within, time_left(), call)
            try:
                return asked.result(time_left())
            except TimeoutError:
                asked.cancel()
                raise KeyServiceAway(_LATE) from None

    def _within(self, seconds: float, call: Callable[["KMSClient"], bytes]) -> bytes:
        with time_limit(seconds):
            return retrying(lambda: _answer(lambda: call(self._client())))

    def _client(self) -> "KMSClient":
        """Return the client. Raises what kept it from being made, and has that tried again."""
        making = self._making
        try:
            return making.result(time_left())
        except (exceptions.BotoCoreError, OSError):
            raise
        except Exception as error:  # what gives credentials may raise anything
            what = type(error).__name__
            raise KeyUnavailable(f"AWS's client for KMS can't be made ({what})") from None
        finally:
            with self._lock:
                if making is self._making and making.done() and making.exception():
                    self._making = self._make()


_LATE = "AWS KMS, or what gives its credentials, did not answer in time; see KMS_TIMEOUT"
_NONSENSE = "AWS KMS's answer makes no sense; see AWS_KMS_ENDPOINT"


def _configured_region() -> str:
    """Return the region of the AWS tools' own configuration. Raises ImproperlyConfigured."""
    try:
        region = boto3.session.Session().region_name
    except exceptions.BotoCoreError as error:  # a profile that is not there, a broken file
        raise ImproperlyConfigured(
            f"AWS_PROFILE, AWS_CONFIG_FILE: AWS's configuration can't be used"
            f" ({type(error).__name__})."
        ) from None
    if not region:
        raise ImproperlyConfigured(
            "AWS_REGION: must be set, or AWS_KMS_KEY_ID be an ARN, which names the region."
        )
    return region


def _new_client(region: str, endpoint: str, timeout: float, connections: int) -> "KMSClient":
    """Return a client whose calls are sent by a timed session, under its own credentials."""
    session = boto3.session.Session()
    # For what finds credentials, such as STS; the retries of KMS's calls are ours.
    quick = Config(
        connect_timeout=timeout / 2,
        read_timeout=timeout / 2,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    session._session.set_default_client_config(quick)
    client = session.client("kms", region_name=region, endpoint_url=endpoint or None)
    http = timed_session(connections)
    http.verify = session._session.get_config_variable("ca_bundle") or True
    send: Any = lambda request, **_: _sent(http, request)  # noqa: E731  # its stub allows no answer
    client.meta.events.register("before-send.kms", send)
    return client


def _sent(http: requests.Session, request: AWSPreparedRequest) -> AWSResponse:
    """Send what the client has signed, and return the answer. Raises botocore's errors."""
    try:
        answer = http.request(
            request.method,
            request.url,
            data=request.body,
            headers=dict(request.headers.items()),
            allow_redirects=False,
        )
    except (requests.RequestException, OSError) as error:
        if cause(error, AnswerTooLarge):
            raise exceptions.ResponseStreamingError(error="too large") from None
        kind = exceptions.ReadTimeoutError if is_late(error) else exceptions.ConnectionClosedError
        raise kind(endpoint_url=request.url, error=type(error).__name__) from None
    raw: Any = HTTPResponse(io.BytesIO(answer.content), preload_content=False)
    headers: Any = answer.headers
    return AWSResponse(request.url, answer.status_code, headers, raw)


def _region_of(key: str) -> str | None:
    parts = key.split(":")
    return parts[3] if len(parts) > 3 else None


def _encryption_context(header: bytes, context: bytes) -> dict[str, str]:
    return {"fugata": hashlib.sha256(header + context).hexdigest()}


def _answer(call: Callable[[], bytes]) -> bytes:
    """Return KMS's answer. Raises VaultError."""
    try:
        return call()
    except exceptions.ClientError as error:
        raise _to_vault_error(error) from None
    except (exceptions.NoCredentialsError, exceptions.CredentialRetrievalError, FileNotFoundError):
        raise KeyServiceAway("there are no AWS credentials, or they can't be had") from None
    except exceptions.ResponseStreamingError:
        raise KeyUnavailable("AWS KMS's answer is too large; see AWS_KMS_ENDPOINT") from None
    except (KeyError, ResponseParserError):
        raise KeyUnavailable(_NONSENSE) from None
    except (exceptions.ReadTimeoutError, TimeoutError):
        raise KeyServiceAway(_LATE) from None
    except (exceptions.BotoCoreError, OSError):
        raise KeyServiceAway("AWS KMS can't be reached; see AWS_REGION") from None


def _to_vault_error(error: exceptions.ClientError) -> VaultError:
    """Return the VaultError to raise; AWS's text is never repeated."""
    code = error.response.get("Error", {}).get("Code", "")
    if code in _DECRYPTION_ERRORS:
        return DecryptionFailed("the wrapped data key does not open")
    if code in _BUSY:
        return KeyServiceBusy("AWS KMS is asked too often")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _PASSING or status >= 500:
        return KeyServiceAway("AWS KMS failed")
    return KeyUnavailable(_REFUSALS.get(code, "AWS KMS failed"))

"""AWS KMS: symmetric keys that never leave it.

A key's id is `aws:` and its entry in AWS_KMS_KEY_ID. The provider's part of a wrapped key is KMS's
ciphertext. The SHA-256 of header and context is the encryption context, which AWS logs: its logs
show which calls belong together, but not to which value.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import boto3
from botocore import exceptions
from botocore.config import Config
from django.core.exceptions import ImproperlyConfigured

from fugata_core.limits import REWRAP_THREADS
from vault_app.errors import DecryptionFailed, KeyUnavailable, VaultError
from vault_app.keys import wrapped_key
from vault_app.keys.base import KeyProvider

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

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
    "ThrottlingException": "AWS KMS is asked too often",
}
#: Errors of a connection that broke before an answer; timeouts are not among them.
_BROKEN = (exceptions.ConnectionClosedError, exceptions.EndpointConnectionError)


class AwsKms(KeyProvider):
    """Calls AWS KMS for each operation. The first of `keys` (key ids or ARNs) wraps, all unwrap.

    `timeout`: seconds that a call may take; `connections`: how many threads may call at once.
    Credentials are found as the AWS tools find them. Raises ImproperlyConfigured on construction,
    naming the setting.
    """

    name = "aws"
    concurrency = REWRAP_THREADS

    def __init__(
        self,
        keys: Sequence[str],
        region: str = "",
        endpoint: str = "",
        timeout: float = 5.0,
        connections: int = 16,
    ) -> None:
        self._keys = {f"{self.name}:{key}": key for key in keys}
        config = Config(
            connect_timeout=timeout / 2,
            read_timeout=timeout / 2,
            max_pool_connections=connections,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        try:
            self._client: KMSClient = boto3.session.Session().client(
                "kms",
                region_name=region or _region_of(keys[0]),
                endpoint_url=endpoint or None,
                config=config,
            )
        except exceptions.NoRegionError:
            raise ImproperlyConfigured(
                "AWS_REGION: must be set, or AWS_KMS_KEY_ID be an ARN, which names the region."
            ) from None

    @property
    def primary(self) -> str:
        """The id of the first key."""
        return next(iter(self._keys))

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Return the data key, wrapped by KMS under the first key."""
        header = wrapped_key.header(self.primary)
        return header + _call(
            lambda: self._client.encrypt(
                KeyId=self._keys[self.primary],
                Plaintext=data_key,
                EncryptionContext=_encryption_context(header, context),
            )["CiphertextBlob"]
        )

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key, unwrapped by KMS."""
        key_id, header, rest = wrapped_key.split(wrapped)
        key = self._keys.get(key_id)
        if key is None:  # a key that no setting lists may belong to somebody else
            raise KeyUnavailable("AWS_KMS_KEY_ID does not list the key")
        if not rest:
            raise DecryptionFailed("the wrapped data key is too short")
        return _call(
            lambda: self._client.decrypt(
                KeyId=key,
                CiphertextBlob=rest,
                EncryptionContext=_encryption_context(header, context),
            )["Plaintext"]
        )

    def check(self) -> None:
        """Raise KeyUnavailable unless KMS can wrap right now."""
        self.wrap(bytes(32), b"check")


def _region_of(key: str) -> str | None:
    parts = key.split(":")
    return parts[3] if len(parts) > 3 else None


def _encryption_context(header: bytes, context: bytes) -> dict[str, str]:
    return {"fugata": hashlib.sha256(header + context).hexdigest()}


def _call(call: Callable[[], bytes]) -> bytes:
    """Return KMS's answer, retrying once if a connection broke. Raises VaultError."""
    try:
        try:
            return call()
        except _BROKEN:
            return call()
    except exceptions.ClientError as error:
        raise _to_vault_error(error) from None
    except (exceptions.NoCredentialsError, exceptions.CredentialRetrievalError):
        raise KeyUnavailable("there are no AWS credentials") from None
    except KeyError:
        raise KeyUnavailable("AWS KMS's answer makes no sense; see AWS_KMS_ENDPOINT") from None
    except (exceptions.BotoCoreError, OSError):
        raise KeyUnavailable("AWS KMS can't be reached; see AWS_REGION") from None


def _to_vault_error(error: exceptions.ClientError) -> VaultError:
    """Return the VaultError to raise; AWS's text is never repeated."""
    code = error.response.get("Error", {}).get("Code", "")
    if code in _DECRYPTION_ERRORS:
        return DecryptionFailed("the wrapped data key does not open")
    return KeyUnavailable(_REFUSALS.get(code, "AWS KMS failed"))

"""What Vault's refusals and failures mean, in a sentence that names the setting to look at.

Vault's own words are never repeated: they may quote what was sent. `{setting}` in a sentence
stands for what the settings of that Vault begin with.
"""

import ssl

import requests
from hvac import exceptions as refused

from vault_app.errors import (
    DecryptionFailed,
    KeyServiceAway,
    KeyServiceBusy,
    KeyUnavailable,
    KeyVersionGone,
    VaultError,
)
from vault_app.keys.transport import AnswerTooLarge, cause, is_late, retry_after

#: Transit's errors (400) for bytes that it did not make, or made with other associated data.
_DECRYPTION_ERRORS = (
    "invalid ciphertext",
    "message authentication failed",
    "illegal base64",
    "invalid length",
)
#: What Vault says (400), and what it means. The first that fits counts.
_MISTAKES = {
    "encryption key not found": "Vault has no such key; see {setting}TRANSIT_KEY",
    "version is too new": (
        "Vault does not know that version of the key: was it set back to an older state?"
    ),
    "non-AEAD": "{setting}TRANSIT_KEY: the key must be of an AEAD type such as aes256-gcm96",
    "key derivation": (
        "{setting}TRANSIT_KEY: the key was made with derived=true, which Fugata can't use"
    ),
    "HTTP request to an HTTPS server": "{setting}ADDR: must begin with https://",
}
_STATUSES: dict[type[refused.VaultError], str] = {
    refused.VaultNotInitialized: "Vault is not initialised",
    refused.VaultDown: "Vault is sealed, or has no active node",
}
_ELSEWHERE = "Vault has nothing there; see {setting}TRANSIT_MOUNT and {setting}NAMESPACE"
_REDIRECT = "Vault sends us elsewhere, which is not followed; see {setting}ADDR"
_REDIRECTS = (301, 302, 303, 307, 308)

#: What OpenSSL says of a certificate that is not accepted (X509_V_ERR_…).
_CERTIFICATES = {
    9: "Vault's certificate is not valid yet: are the clocks right?",
    10: "Vault's certificate has expired",
    62: "Vault's certificate is not for the host of {setting}ADDR",
    64: "Vault's certificate is not for the address of {setting}ADDR",
}
_UNKNOWN_AUTHORITY = "Vault's certificate is of an unknown authority; see {setting}CACERT"
_NO_TLS = (
    "there is no TLS connection to Vault; see {setting}ADDR, and {setting}CLIENT_CERT if Vault"
    " demands a client certificate"
)
#: With TLS 1.3, who lacks a certificate may see no more than this.
_BROKE_OFF = (
    "Vault broke the connection off; see {setting}ADDR, and {setting}CLIENT_CERT if Vault demands a"
    " client certificate"
)
#: Parts of OpenSSL's other reasons, and what they mean.
_TLS = {
    "CERTIFICATE_REQUIRED": "Vault demands a client certificate; see {setting}CLIENT_CERT",
    "HANDSHAKE_FAILURE": "Vault demands a client certificate; see {setting}CLIENT_CERT",
    "ALERT_CERTIFICATE_EXPIRED": "the certificate of {setting}CLIENT_CERT has expired",
    "ALERT_BAD_CERTIFICATE": "Vault does not accept the certificate of {setting}CLIENT_CERT",
    "ALERT_UNKNOWN_CA": "Vault does not accept the certificate of {setting}CLIENT_CERT",
    "WRONG_VERSION_NUMBER": "Vault speaks no TLS there; see {setting}ADDR",
    "RECORD_LAYER_FAILURE": "Vault speaks no TLS there; see {setting}ADDR",
}


def refusal(error: refused.VaultError, what: str) -> VaultError:
    """Return the error for an answer that is not 200, to a call that was to do `what`."""
    if isinstance(error, refused.RateLimitExceeded):
        return KeyServiceBusy("Vault is asked too often", retry_after())
    if isinstance(error, refused.InvalidRequest):
        return _mistake(" ".join(map(str, error.errors or (error.text,))))
    if isinstance(error, refused.Unauthorized | refused.Forbidden | refused.InvalidPath):
        return KeyUnavailable(f"Vault refused to {what}: {_ELSEWHERE}")
    return KeyServiceAway(_STATUSES.get(type(error), "Vault failed"))


def _mistake(said: str) -> VaultError:
    """Return the error for a request that Vault can't do (400)."""
    if "disallowed by policy" in said:
        return KeyVersionGone("Vault no longer opens that version of the key")
    for part, sentence in _MISTAKES.items():
        if part in said:
            return KeyUnavailable(sentence)
    if any(part in said for part in _DECRYPTION_ERRORS):
        return DecryptionFailed("the wrapped data key does not open")
    return KeyUnavailable("Vault did not understand the request")


def no_answer(status: int) -> KeyUnavailable:
    """Return the error for an answer that is not JSON, or none."""
    if status in _REDIRECTS:
        return KeyUnavailable(_REDIRECT)
    return KeyUnavailable("Vault's answer makes no sense; is {setting}ADDR its address?")


def trouble(error: Exception) -> KeyUnavailable:
    """Return the error for a call that had no answer, or one that was not read to its end."""
    if cause(error, AnswerTooLarge):
        return KeyUnavailable("Vault's answer is too large; is {setting}ADDR its address?")
    return KeyServiceAway(_tls_trouble(error) or _connection_trouble(error))


def _tls_trouble(error: Exception) -> str:
    """Return what is wrong with TLS, if anything is."""
    if certificate := cause(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(certificate.verify_code, _UNKNOWN_AUTHORITY)
    if tls := cause(error, ssl.SSLError):
        reason = tls.reason or ""
        return next((meant for part, meant in _TLS.items() if part in reason), _NO_TLS)
    if not isinstance(error, requests.RequestException) and "TLS" in str(error):
        return "a file of {setting}CACERT, {setting}CLIENT_CERT or {setting}CLIENT_KEY is gone"
    return ""


def _connection_trouble(error: Exception) -> str:
    if is_late(error):
        return "Vault did not answer in time; see {setting}ADDR and KMS_TIMEOUT"
    broke_off = cause(error, ConnectionError)
    if broke_off and not isinstance(broke_off, ConnectionRefusedError):
        return _BROKE_OFF
    return "Vault can't be reached; see {setting}ADDR"

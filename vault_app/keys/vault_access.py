"""Access to Vault: how it is reached, and one call of its API."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import requests
from django.core.exceptions import ImproperlyConfigured
from hvac import exceptions as refused
from hvac.adapters import JSONAdapter

from vault_app.errors import KeyUnavailable, VaultError
from vault_app.keys import vault_refusals
from vault_app.keys.transport import timed_session


class TokenRefused(KeyUnavailable):
    """Vault does not take the token, or not for that: it says 403 to both."""


@dataclass(frozen=True)
class VaultAccess:
    """Where Vault is, and how its settings begin (`setting`), to name them where they are wrong.

    `ca`: the path of a CA bundle to use instead of the system's; `certificate` and `key`: paths of
    a client certificate and its key. `connections`: how many threads may call at once.
    """

    address: str
    setting: str = "VAULT_"
    namespace: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    connections: int = 16

    def __post_init__(self) -> None:
        """Raise ImproperlyConfigured, naming the setting, if a file can't be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca:
            with _naming(f"{self.setting}CACERT", "certificates of authorities in PEM form"):
                context.load_verify_locations(self.ca)
        if self.certificate:
            setting = f"{self.setting}CLIENT_CERT, {self.setting}CLIENT_KEY"
            with _naming(setting, "a certificate and its key in PEM form, without a password"):
                context.load_cert_chain(self.certificate, self.key or None, password=_no_password)

    @cached_property
    def session(self) -> requests.Session:
        """The connections to Vault."""
        session = timed_session(self.connections)
        session.verify = self.ca or True
        session.cert = (self.certificate, self.key) if self.key else self.certificate or None
        return session

    def api(self, token: str = "") -> JSONAdapter:
        """Return what hvac's API classes call Vault through, with that token."""
        return JSONAdapter(
            base_uri=self.address,
            token=token or None,
            session=self.session,
            namespace=self.namespace or None,
            # A redirect would send the token to whatever host it names.
            allow_redirects=False,
        )

    def ask(self, call: Callable[[], Any], what: str) -> dict[str, Any]:
        """Return Vault's answer to a call that is to do `what` ("encrypt"), within time_limit.

        Raises VaultError; TokenRefused for a 403.
        """
        try:
            answer = call()
        except refused.Forbidden:
            raise TokenRefused(f"Vault refused to {what}") from None
        except refused.VaultError as error:
            raise self._named(vault_refusals.refusal(error, what)) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise self._named(vault_refusals.trouble(error)) from None
        if not isinstance(answer, dict):
            raise self._named(vault_refusals.no_answer(getattr(answer, "status_code", 0)))
        return answer

    def naming(self, sentence: str) -> str:
        """Return the sentence with this Vault's settings in it."""
        return sentence.replace("{setting}", self.setting)

    def _named(self, error: VaultError) -> VaultError:
        """Return the error with the settings' names in its sentence."""
        error.args = (self.naming(str(error)),)
        return error


@contextmanager
def _naming(setting: str, what: str) -> Iterator[None]:
    """Have the block read a file. Raises ImproperlyConfigured, which names the setting."""
    try:
        yield
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise ImproperlyConfigured(
            f"{setting}: must be the path of a readable file with {what}."
        ) from None


def _no_password() -> bytes:
    """Answer for the person whom OpenSSL would ask at the terminal."""
    return b""

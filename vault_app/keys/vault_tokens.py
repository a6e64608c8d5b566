"""The token that Vault is asked with in this process: found, renewed, replaced.

A token that can be renewed is renewed at half of its time. Whoever logs in does so again before the
token ends, or when Vault no longer takes it. One thread does that; the others go on with the token
there is.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hvac.api.auth_methods import Token as TokenApi

from vault_app.errors import KeyServiceAway, KeyUnavailable, VaultError
from vault_app.keys.transport import time_left
from vault_app.keys.vault_access import TokenRefused, VaultAccess
from vault_app.keys.vault_logins import Lease, TokenSource

#: Seconds for which a refusal is not put down to the token, after a new one was refused as well;
#: and between two attempts of calls to have a token for longer.
PAUSE = 5.0
#: Seconds before the same secret is tried again with which Vault refused a login: it locks a role
#: after a few of these.
REFUSED_PAUSE = 300.0
#: Seconds for which a call leaves upkeep to the health probe, before it looks a token up by itself.
LOOK_UP_AFTER = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A login that Vault refused: why, with what, and until when it is not tried again."""

    message: str
    fingerprint: str
    until: float


class VaultTokens:
    """The token that calls are made with. All methods are for any thread, within a time_limit."""

    def __init__(self, access: VaultAccess, source: TokenSource) -> None:
        self._access, self._source = access, source
        self._lease: Lease | None = None
        self._lock = threading.Lock()
        self._next_attempt = self._futile_until = float("-inf")
        self._refusal: _Refusal | None = None
        self._fails = False

    @property
    def may_change(self) -> bool:
        """Whether somebody else may put another token in its place at any time."""
        return self._source.may_change

    def current(self) -> str:
        """Return the token to ask with. Raises KeyUnavailable if it can't be had."""
        lease = self._lease
        if lease is None or (self._source.logs_in and lease.left <= 0):
            with self._locked():
                if self._lease is lease:
                    self._take(self._obtained())
                lease = self._lease or lease
        assert lease is not None
        return lease.token

    def replace(self, refused: str) -> bool:
        """Return whether there is another token now than the one that Vault refused.

        Raises KeyUnavailable.
        """
        with self._locked():
            lease = self._lease
            if lease is not None and lease.token != refused:
                return True  # another thread was first
            if self._source.logs_in and time.monotonic() < self._futile_until:
                return False
            found = self._obtained()
            if found.token == refused:
                return False
            self._take(found)
            return True

    def note_refused_anew(self) -> None:
        """Take note that Vault refused a new token too: for a while, that is not the token's."""
        self._futile_until = time.monotonic() + PAUSE

    def keep(self) -> None:
        """Have the token for longer, or another one, if that is due. What fails is logged."""
        lease = self._lease
        if lease is None or not lease.is_due:
            return
        if self._lock.acquire(blocking=False):
            try:
                self._prolong(lease)
            finally:
                self._lock.release()

    def keep_if_overdue(self) -> None:
        """Do that in a process where nothing calls `keep` now and then."""
        lease = self._lease
        if lease is None or time.monotonic() < self._next_attempt:
            return
        if lease.left <= lease.seconds / 3 if lease.is_known else lease.age > LOOK_UP_AFTER:
            self._next_attempt = time.monotonic() + PAUSE
            self.keep()

    def ends_in(self) -> float | None:
        """Return the seconds that the token has left, if it ends soon and nothing will renew it."""
        lease = self._lease
        if lease is None or lease.left > self._source.warns_from(lease):
            return None
        is_renewed = lease.renewable and not lease.is_capped
        if not self._fails and (self._source.logs_in or is_renewed):
            return None
        return max(lease.left, 0.0)

    def _take(self, lease: Lease) -> None:
        self._lease, self._fails = lease, False

    def _obtained(self) -> Lease:
        """Return a token from where it comes from. Raises KeyUnavailable."""
        refusal, now = self._refusal, time.monotonic()
        if refusal and now < refusal.until and refusal.fingerprint == self._source.fingerprint():
            raise KeyUnavailable(refusal.message)
        try:
            lease = self._source.obtain(self._access)
        except KeyServiceAway:
            raise
        except KeyUnavailable as error:
            fingerprint = self._source.fingerprint()
            self._refusal = _Refusal(str(error), fingerprint, now + REFUSED_PAUSE)
            raise
        self._refusal = None
        return lease

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            is_ours = self._lock.acquire(timeout=time_left())
        except TimeoutError:
            is_ours = False
        if not is_ours:
            raise KeyServiceAway("Vault did not give a token in time")
        try:
            yield
        finally:
            self._lock.release()

    def _prolong(self, lease: Lease) -> None:
        try:
            if not self._source.logs_in:
                lease = self._lease = self._looked_up(self._obtained(), lease)
            if lease.renewable and lease.is_due:
                lease = self._lease = self._renewed(lease)
            if self._source.logs_in and (lease.is_due or lease.is_capped):
                self._lease = self._obtained()
            self._fails = False
        except VaultError as error:
            if not self._fails:
                logger.warning("Vault's token was not renewed: %s", error)
            self._fails = True

    def _looked_up(self, found: Lease, known: Lease) -> Lease:
        """Return what Vault says of the token that the setting or the file has now."""
        if known.is_known and found.token == known.token:
            return known
        api = TokenApi(adapter=self._access.api(found.token))
        try:
            data = self._access.ask(api.lookup_self, "look the token up").get("data")
        except TokenRefused:  # it lacks the policy `default`, which allows that
            data = None
        fields: dict[str, Any] = data if isinstance(data, dict) else {}
        return Lease.of(found.token, fields.get("ttl"), fields.get("renewable"))

    def _renewed(self, lease: Lease) -> Lease:
        api = TokenApi(adapter=self._access.api(lease.token))
        try:
            auth = self._access.ask(api.renew_self, "renew the token").get("auth")
        except TokenRefused:
            if self._source.logs_in:
                return lease
            raise
        fields: dict[str, Any] = auth if isinstance(auth, dict) else {}
        seconds, renewable = fields.get("lease_duration"), fields.get("renewable")
        return Lease.of(lease.token, seconds, renewable, before=lease.seconds)

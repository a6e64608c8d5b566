"""A real OpenBao (https://openbao.org), with nothing kept on a disk but its log."""

import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

import httpx

from tests.support.servers.jwts import AUDIENCE, ISSUER, JwtIssuer
from tests.support.servers.parts import free_port, wait_until
from tests.support.servers.vault import BOTH, LoginTerms, Terms, bao

Json = dict[str, Any]

#: The audit device says what came; raw, or tokens in it would be digests.
_CONFIGURATION = """
storage "inmem" {{}}
listener "tcp" {{
  address     = "127.0.0.1:{port}"
  tls_disable = true
}}
audit "file" "tests" {{
  options {{
    file_path = "{audit}"
    log_raw   = "true"
  }}
}}
api_addr = "http://127.0.0.1:{port}"
"""
_QUOTA = "sys/quotas/rate-limit/tests"


class BaoServer:
    """Initialised and unsealed, with Transit, AppRole and JWT; see `Vault`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fugata-bao-"))
        self._audit = self._folder / "audit.log"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(base_url=f"{self.url}/v1/", timeout=30)
        self._numbers, self._issuer = itertools.count(1), JwtIssuer()
        self._roles: dict[str, str] = {}
        self.process = self._start(port)
        wait_until(self._answers, "OpenBao")
        self._initialise()

    # --- Keys ---

    def add_key(self, name: str, **options: Any) -> None:
        """Make a key; options are those of transit/keys/NAME, as `type` and `derived`."""
        self._ask("POST", f"transit/keys/{name}", **options)

    def delete_key(self, name: str) -> None:
        """Delete a key with all its versions."""
        self._ask("POST", f"transit/keys/{name}/config", deletion_allowed=True)
        self._ask("DELETE", f"transit/keys/{name}")

    def rotate(self, name: str) -> None:
        """Give a key another version."""
        self._ask("POST", f"transit/keys/{name}/rotate")

    def raise_minimum(self, name: str, version: int) -> None:
        """Have versions below that one open nothing."""
        self._ask("POST", f"transit/keys/{name}/config", min_decryption_version=version)

    def trim(self, name: str, version: int) -> None:
        """Destroy the versions below that one; Transit asks that nothing may use them."""
        minimum = {"min_decryption_version": version, "min_encryption_version": version}
        self._ask("POST", f"transit/keys/{name}/config", **minimum)
        self._ask("POST", f"transit/keys/{name}/trim", min_available_version=version)

    # --- Tokens and logins ---

    def new_token(
        self, keys: Sequence[str], operations: Sequence[str] = BOTH, **terms: Unpack[Terms]
    ) -> str:
        """Return an orphan token that may do `operations` with `keys`, and create none."""
        fields: Json = {name: value for name, value in terms.items() if name != "default_policy"}
        fields["no_default_policy"] = not terms.get("default_policy", True)
        fields["policies"] = [self._policy(keys, operations)]
        made = self._ask("POST", "auth/token/create-orphan", **fields)
        return str(made["auth"]["client_token"])

    def revoke(self, token: str) -> None:
        """End a token."""
        self._ask("POST", "auth/token/revoke", token=token)

    def ends_in(self, token: str) -> int:
        """Return the seconds that a token has left, 0 if it does not end."""
        return int(self._ask("POST", "auth/token/lookup", token=token)["data"]["ttl"])

    def renewals(self, token: str) -> int:
        """Return how often a token was renewed."""
        answers = self._audited("response", "renew-self")
        return sum(
            entry["request"].get("client_token") == token and not entry.get("error")
            for entry in answers
        )

    def approle(self, keys: Sequence[str], **terms: Unpack[LoginTerms]) -> tuple[str, str]:
        """Return role id and secret id of a new role that may use `keys`."""
        role = f"auth/approle/role/tests-{next(self._numbers)}"
        self._ask("POST", role, token_policies=[self._policy(keys, BOTH)], **terms)
        role_id = str(self._ask("GET", f"{role}/role-id")["data"]["role_id"])
        self._roles[role_id] = role
        return role_id, str(self._ask("POST", f"{role}/secret-id")["data"]["secret_id"])

    def revoke_secret_id(self, role_id: str, secret_id: str) -> None:
        """Let nobody log in with that secret id any more."""
        self._ask("POST", f"{self._roles[role_id]}/secret-id/destroy", secret_id=secret_id)

    def jwt_role(
        self, name: str, keys: Sequence[str], seconds: int = 3600, **terms: Unpack[LoginTerms]
    ) -> str:
        """Make a role that may use `keys`; return a JWT that logs in as it."""
        fields = {"role_type": "jwt", "bound_audiences": [AUDIENCE], "user_claim": "sub"}
        policy = self._policy(keys, BOTH)
        self._ask("POST", f"auth/jwt/role/{name}", token_policies=[policy], **fields, **terms)
        return self._issuer.sign(name, seconds)

    # --- What goes wrong ---

    def limit(self, calls: int, seconds: int = 1, *, headers: bool = True) -> None:
        """Let through so many calls of Transit in so many seconds, and answer others with 429."""
        self._ask(
            "POST",
            "sys/quotas/config",
            enable_rate_limit_response_headers=headers,
            enable_rate_limit_audit_logging=True,
        )
        self._ask("POST", _QUOTA, path="transit/", rate=calls, interval=seconds)

    def unlimit(self) -> None:
        """Let all calls through again."""
        self._ask("DELETE", _QUOTA)

    def seal(self) -> None:
        """Have it answer nothing but that it is sealed."""
        self._ask("PUT", "sys/seal")

    def unseal(self) -> None:
        """Have it answer again."""
        self._ask("PUT", "sys/unseal", key=self._key)
        wait_until(self._is_active, "an OpenBao that is unsealed")

    def count(self, operation: str) -> int:
        """Return how many calls of an operation came, also of those that were refused."""
        return sum(1 for _ in self._audited("request", operation))

    def close(self) -> None:
        """End the process and remove its log."""
        self.process.terminate()
        self.process.wait(30)
        self._http.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- The process ---

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        binary, configuration = bao(), self._folder / "bao.hcl"
        assert binary, "FUGATA_BAO names no OpenBao"
        configuration.write_text(_CONFIGURATION.format(port=port, audit=self._audit))
        command = [binary, "server", f"-config={configuration}"]
        with self._log.open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)

    @property
    def _log(self) -> Path:
        return self._folder / "bao.log"

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(errors="replace")[-2000:]
        try:
            return self._http.get("sys/seal-status").status_code == 200
        except httpx.HTTPError:
            return False

    def _is_active(self) -> bool:
        return self._http.get("sys/health").status_code == 200

    def _initialise(self) -> None:
        made = self._ask("PUT", "sys/init", secret_shares=1, secret_threshold=1)
        self._key, self.root_token = str(made["keys"][0]), str(made["root_token"])
        self._http.headers["X-Vault-Token"] = self.root_token
        self.unseal()
        self._ask("POST", "sys/mounts/transit", type="transit")
        for method in ("approle", "jwt"):
            self._ask("POST", f"sys/auth/{method}", type=method)
        keys = [self._issuer.public_key]
        self._ask("POST", "auth/jwt/config", jwt_validation_pubkeys=keys, bound_issuer=ISSUER)

    # --- Its API ---

    def _ask(self, method: str, route: str, /, **fields: Any) -> Json:
        answer = self._http.request(method, route, json=fields or None)
        assert answer.is_success, f"{method} {route}: {answer.status_code} {answer.text}"
        told: Json = answer.json() if answer.content else {}
        return told

    def _policy(self, keys: Sequence[str], operations: Sequence[str]) -> str:
        """Return the name of a new policy."""
        paths = [f"transit/{operation}/{key}" for operation in operations for key in keys]
        rules = [f'path "{path}" {{ capabilities = ["update"] }}' for path in paths]
        name = f"tests-{next(self._numbers)}"
        self._ask("PUT", f"sys/policies/acl/{name}", policy="\n".join(rules))
        return name

    def _audited(self, kind: str, operation: str) -> Iterator[Json]:
        """Yield what the audit device says of the requests or responses of an operation."""
        with self._audit.open() as lines:
            for entry in map(json.loads, lines):
                if entry["type"] == kind and operation in entry["request"]["path"].split("/"):
                    yield entry

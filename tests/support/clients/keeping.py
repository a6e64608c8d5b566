"""A small client of the repositories API, for tests that run the service for real."""

import json
from dataclasses import dataclass

from tests.support.clients.wire import Answer, exchange, request
from tests.support.servers.service import Service


@dataclass(frozen=True, slots=True)
class Keeper:
    """Requests on one repository in the name of one access token."""

    port: int
    repository: str
    token: str

    @property
    def place(self) -> str:
        """The path of the repository's secrets."""
        return f"/repositories/{self.repository}/secrets"

    def request(self, method: str, key: str = "", body: bytes | None = None) -> bytes:
        """Return a request as bytes."""
        path = f"{self.place}/{key}" if key else self.place
        return request(method, path, body, authorization=f"Bearer {self.token}")

    def set_request(self, key: str, value: str) -> bytes:
        """Return the request that sets a secret."""
        body = json.dumps({"secret_key": key, "secret_value": value}).encode()
        return self.request("POST", body=body)

    def set(self, key: str, value: str) -> Answer:
        """Set a secret."""
        return exchange(self.port, self.set_request(key, value))

    def read(self, key: str) -> Answer:
        """Read a secret."""
        return exchange(self.port, self.request("GET", key))

    def remove(self, key: str) -> Answer:
        """Remove a secret."""
        return exchange(self.port, self.request("DELETE", key))

    def list(self) -> Answer:
        """List the keys."""
        return exchange(self.port, self.request("GET"))


def keeper(service: Service, repository: str = "repo", user: str = "alice") -> Keeper:
    """Make a repository by the operator's one command, and return its owner's client."""
    made = service.manage("create_repository", repository, "--owner", user, "--token", "--json")
    return Keeper(service.port, repository, json.loads(made.stdout)["token"])

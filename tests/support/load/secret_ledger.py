"""A stream of sets, reads and removals, and the ledger of what the service acknowledged."""

import random
from dataclasses import dataclass, field

import httpx

from tests.support.clients.keeping import Keeper
from tests.support.load.crowd import Crowd
from tests.support.servers.service import Service


@dataclass
class _Key:
    """A key that one thread alone writes.

    `possible` begins with the value that is known to have been there (None: removed). Each after
    it is what a request without an answer wanted: it came in that order, or still may, or not.
    """

    name: str
    possible: list[str | None] = field(default_factory=lambda: [None])


class SecretStream(Crowd):
    """Threads that each set, read and remove keys of their own, until the block ends."""

    def __init__(self, service: Service, keep: Keeper, threads: int = 4) -> None:
        super().__init__(threads)
        self._client = {"base_url": service.url, "timeout": 60}
        self._headers = {"Authorization": f"Bearer {keep.token}"}
        self._keep = keep
        self._keys = [[_Key(f"k-{n}-{m}") for m in range(3)] for n in range(threads)]
        self.complaints: list[str] = []

    def _run(self, number: int) -> None:
        choice = random.Random(number)
        with httpx.Client(headers=self._headers, **self._client) as client:  # type: ignore[arg-type]
            while not self._end.is_set():
                key = choice.choice(self._keys[number])
                act = choice.choice([self._set, self._set, self._read, self._remove])
                try:
                    act(client, key, choice)
                except httpx.HTTPError:
                    self._end.wait(0.02)
                else:
                    self._count()

    def _count(self) -> None:
        with self._lock:
            self.done += 1

    def _set(self, client: httpx.Client, key: _Key, choice: random.Random) -> None:
        value = f"{choice.random()}" * choice.choice([1, 1000])
        key.possible.append(value)
        body = {"secret_key": key.name, "secret_value": value}
        self._expect(client.post(self._keep.place, json=body), {201})
        key.possible = [value]

    def _remove(self, client: httpx.Client, key: _Key, choice: random.Random) -> None:
        expected = {404 if value is None else 204 for value in key.possible}
        key.possible.append(None)
        self._expect(client.delete(f"{self._keep.place}/{key.name}"), expected)
        key.possible = [None]

    def _read(self, client: httpx.Client, key: _Key, choice: random.Random) -> None:
        answer = client.get(f"{self._keep.place}/{key.name}")
        found = answer.json()["secret_value"] if answer.status_code == 200 else None
        if answer.status_code not in (200, 404) or found not in key.possible:
            self.complaints.append(f"a read was answered {answer.status_code}, not as set")
        else:  # what was to be before it can't come any more
            del key.possible[: key.possible.index(found)]

    def _expect(self, answer: httpx.Response, statuses: set[int]) -> None:
        if answer.status_code not in statuses:
            said = f"{answer.request.method}: {answer.status_code}, not one of {statuses}"
            self.complaints.append(said)

    def settle(self) -> None:
        """Read everything once more, and see that the ledger holds. Call it after the block."""
        assert not self.complaints, self.complaints
        with httpx.Client(headers=self._headers, **self._client) as client:  # type: ignore[arg-type]
            for key in (key for keys in self._keys for key in keys):
                self._read(client, key, random.Random())
        assert not self.complaints, self.complaints

"""A stream of creates and opens, and the ledger of what the service acknowledged."""

import random
from collections import Counter

import httpx

from tests.support.clients.sharing import Share
from tests.support.load.crowd import Crowd
from tests.support.servers.service import Service

_TIMEOUT = 60


class Stream(Crowd):
    """Threads that create one-time shares and open some of them, until the block ends.

    Whatever breaks a connection is taken for a kill. An opening without an answer is in flight:
    its share may be there or not, ever after.
    """

    def __init__(self, service: Service, threads: int = 4) -> None:
        super().__init__(threads)
        self._url = service.url
        self.waiting: dict[str, Share] = {}
        self.in_flight: dict[str, Share] = {}
        self.handed: Counter[str] = Counter()
        self.complaints: list[str] = []

    def _run(self, number: int) -> None:
        choice = random.Random(number)
        with httpx.Client(base_url=self._url, timeout=_TIMEOUT) as client:
            while not self._end.is_set():
                share = self._one_of_the_waiting(choice)
                if share and choice.random() < 0.5:
                    self._open(client, share)
                else:
                    self._create(client, f"content {number} {choice.random()}")

    def _one_of_the_waiting(self, choice: random.Random) -> Share | None:
        with self._lock:
            return choice.choice(list(self.waiting.values())) if self.waiting else None

    def _create(self, client: httpx.Client, content: str) -> None:
        fields = {"content": content, "duration": "1h", "one_time": True}
        try:
            answer = client.post("/secrets", json=fields)
        except httpx.HTTPError:  # not acknowledged
            self._end.wait(0.02)
            return
        if answer.status_code != 201:
            self._complain(f"a create was answered {answer.status_code}: {answer.text}")
            return
        made = answer.json()
        share = Share(made["id"], made["deletion_token"], made["expires_at"], content)
        with self._lock:
            self.waiting[share.id] = share
            self.done += 1

    def _open(self, client: httpx.Client, share: Share) -> None:
        with self._lock:
            if self.waiting.pop(share.id, None) is None:
                return  # another thread has it
        try:
            answer = client.get(f"/secrets/{share.id}")
        except httpx.HTTPError as error:
            self._note_no_answer(share, asked=not isinstance(error, httpx.ConnectError))
            return
        self._note(share, answer)

    def _note(self, share: Share, answer: httpx.Response) -> None:
        if answer.status_code != 200 or answer.json()["content"] != share.content:
            self._complain(f"an acknowledged share was answered {answer.status_code}")
            return
        with self._lock:
            self.handed[share.id] += 1
            self.done += 1

    def _note_no_answer(self, share: Share, asked: bool) -> None:
        with self._lock:
            (self.in_flight if asked else self.waiting)[share.id] = share
        self._end.wait(0.02)

    def _complain(self, what: str) -> None:
        with self._lock:
            self.complaints.append(what)

    def settle(self) -> None:
        """Open everything once more, and see that the ledger holds. Call it after the block."""
        assert not self.complaints, self.complaints
        with httpx.Client(base_url=self._url, timeout=_TIMEOUT) as client:
            lost = [s.id for s in self.waiting.values() if not _opens(client, s)]
            assert not lost, f"{len(lost)} acknowledged shares of {len(self.waiting)} are lost"
            flown = [s.id for s in self.in_flight.values() if _opens(client, s)]
            again = [*self.handed, *self.waiting, *flown]
            twice = [i for i in again if client.get(f"/secrets/{i}").status_code != 404]
        assert not twice, f"{len(twice)} shares of {len(again)} were handed out twice"
        assert self.handed, "the stream opened some"


def _opens(client: httpx.Client, share: Share) -> bool:
    answer = client.get(f"/secrets/{share.id}")
    assert answer.status_code in (200, 404)
    return answer.status_code == 200 and answer.json()["content"] == share.content

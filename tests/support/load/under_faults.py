"""Load while parts fail, and the ledger of what was acknowledged meanwhile.

An error, or no answer, is an outcome that nobody knows: what was asked for may have happened or
not, also later. A 404 for what was acknowledged is never allowed, nor is anything handed out twice.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import httpx

from tests.support.load.crowd import Crowd
from tests.support.servers.installation import SHORT_LIVED
from tests.support.servers.parts import wait_until

_TIMEOUT = 60
#: Seconds by which a client may see a share's end differently than the service.
_MARGIN = 1.0
_UNKNOWN = (429, 500, 503)


@dataclass(frozen=True)
class Share:
    """A share that was acknowledged; `ends`: Unix seconds."""

    id: str
    content: str
    one_time: bool
    ends: float


class Ledger:
    """What happened, by what clients were told. All threads write here."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: dict[str, Share] = {}
        self.in_flight: dict[str, Share] = {}
        self.opened: dict[str, Share] = {}
        self.short: list[Share] = []
        self.secrets: dict[str, str | None] = {}
        self.uncertain: dict[str, set[str | None]] = {}
        self.complaints: list[str] = []
        self.outcomes: Counter[str] = Counter()

    def complain(self, what: str) -> None:
        """Note what must not be."""
        with self.lock:
            self.complaints.append(f"{time.strftime('%H:%M:%S')} {what}")

    def count(self, outcome: str) -> None:
        """Count an answer, or that there was none."""
        with self.lock:
            self.outcomes[outcome] += 1

    @property
    def done(self) -> int:
        """How many requests did what they were for."""
        return self.outcomes["done"]


class Client:
    """One thread's requests; `urls` are the web processes, of which each takes any."""

    def __init__(self, ledger: Ledger, urls: list[str], place: str, token: str, seed: int) -> None:
        self.ledger, self._urls, self._place = ledger, urls, place
        self._choice, self._number, self._keys = random.Random(seed), seed, 0
        self._mine: list[str] = []
        headers = {"Authorization": f"Bearer {token}"}
        self._open = httpx.Client(timeout=_TIMEOUT)
        self._bearer = httpx.Client(timeout=_TIMEOUT, headers=headers)

    def close(self) -> None:
        """Close its connections."""
        self._open.close()
        self._bearer.close()

    def act(self) -> bool:
        """Do one thing; False when nothing came of it."""
        acts = [self.create, self.create, self.open, self.open, self.reopen]
        acts += [self.set, self.set, self.read, self.read, self.remove]
        outcome = self._choice.choice(acts)()
        self.ledger.count(outcome)
        return outcome == "done"

    def _ask(
        self, client: httpx.Client, method: str, path: str, body: object = None
    ) -> httpx.Response | None:
        """Return the answer; None for one that leaves open what has happened."""
        try:
            answer = client.request(method, self._choice.choice(self._urls) + path, json=body)
        except httpx.HTTPError:
            return None
        return None if answer.status_code in _UNKNOWN else answer

    # --- Shares ---

    def create(self) -> str:
        """Share a secret: most to be opened once, some for a short while."""
        short = self._choice.random() < 0.2
        content = f"content {self._number} {self._choice.random()}"
        fields = {"content": content, "one_time": not short, "duration": "1h"}
        fields |= {"duration": SHORT_LIVED} if short else {}
        answer = self._ask(self._open, "POST", "/secrets", fields)
        if answer is None:
            return "no create"
        if answer.status_code != 201:
            self.ledger.complain(f"a create was answered {answer.status_code}")
            return "wrong"
        made = answer.json()
        ends = datetime.fromisoformat(made["expires_at"]).timestamp()
        share = Share(made["id"], content, not short, ends)
        with self.ledger.lock:
            if short:
                self.ledger.short.append(share)
            else:
                self.ledger.waiting[share.id] = share
        return "done"

    def open(self) -> str:
        """Open a share that waits, once."""
        with self.ledger.lock:
            if not self.ledger.waiting:
                return "nothing to open"
            share = self._choice.choice(list(self.ledger.waiting.values()))
            del self.ledger.waiting[share.id]
        answer = self._ask(self._open, "GET", f"/secrets/{share.id}")
        with self.ledger.lock:
            (self.ledger.opened if answer else self.ledger.in_flight)[share.id] = share
        if answer is None:
            return "no open"
        return self._judged(share, answer, "an acknowledged share")

    def reopen(self) -> str:
        """Open a share that ends by itself, before or after its end."""
        with self.ledger.lock:
            if not self.ledger.short:
                return "nothing to reopen"
            share = self._choice.choice(self.ledger.short[-20:])
        asked = time.time()
        answer = self._ask(self._open, "GET", f"/secrets/{share.id}")
        if answer is None:
            return "no reopen"
        if asked > share.ends + _MARGIN and answer.status_code != 404:
            self.ledger.complain(f"a share was answered {answer.status_code} after its end")
            return "wrong"
        if time.time() < share.ends - _MARGIN:
            return self._judged(share, answer, "a share before its end")
        return "done"

    def _judged(self, share: Share, answer: httpx.Response, what: str) -> str:
        if answer.status_code != 200 or answer.json()["content"] != share.content:
            self.ledger.complain(f"{what} was answered {answer.status_code}")
            return "wrong"
        return "done"

    # --- Repository secrets ---

    def set(self) -> str:
        """Set a secret of this thread's own: a new one, or one that it has."""
        key = self._choice.choice(self._mine) if len(self._mine) > 4 else self._new_key()
        value = f"{self._choice.random()}" * self._choice.choice([1, 200])
        body = {"secret_key": key, "secret_value": value}
        answer = self._ask(self._bearer, "POST", self._place, body)
        if answer is None:
            return self._doubt(key, value)
        if answer.status_code != 201:
            self.ledger.complain(f"a set was answered {answer.status_code}")
            return "wrong"
        self.ledger.secrets[key] = value
        return "done"

    def read(self) -> str:
        """Read a secret, and compare it with what was set last."""
        if not self._mine:
            return "nothing to read"
        key = self._choice.choice(self._mine)
        answer = self._ask(self._bearer, "GET", f"{self._place}/{key}")
        return "no read" if answer is None else self._compared(key, answer)

    def _compared(self, key: str, answer: httpx.Response) -> str:
        wanted = self.ledger.secrets[key]
        found = answer.json().get("secret_value") if answer.status_code == 200 else None
        if answer.status_code not in (200, 404) or found != wanted:
            self.ledger.complain(f"a read was answered {answer.status_code}, not as it was set")
            return "wrong"
        return "done"

    def remove(self) -> str:
        """Remove a secret."""
        if not self._mine:
            return "nothing to remove"
        key = self._choice.choice(self._mine)
        answer = self._ask(self._bearer, "DELETE", f"{self._place}/{key}")
        if answer is None:
            return self._doubt(key, None)
        wanted = 404 if self.ledger.secrets[key] is None else 204
        if answer.status_code != wanted:
            self.ledger.complain(f"a removal was answered {answer.status_code}, not {wanted}")
        self.ledger.secrets[key] = None
        return "done" if answer.status_code == wanted else "wrong"

    def _new_key(self) -> str:
        self._keys += 1
        key = f"k-{self._number}-{self._keys}"
        self.ledger.secrets[key] = None
        self._mine.append(key)
        return key

    def _doubt(self, key: str, value: str | None) -> str:
        """Leave a key alone whose state nobody knows: what was asked for may still come."""
        self._mine.remove(key)
        self.ledger.uncertain[key] = {self.ledger.secrets.pop(key), value}
        return "no change"


class Load(Crowd):
    """Threads that act until the block ends."""

    def __init__(self, urls: list[str], place: str, token: str, threads: int = 6) -> None:
        super().__init__(threads)
        self.ledger = Ledger()
        self._clients = [Client(self.ledger, urls, place, token, n) for n in range(threads)]

    def _run(self, number: int) -> None:
        client = self._clients[number]
        try:
            while not self._end.is_set():
                if not client.act():
                    self._end.wait(0.02)
        except Exception as error:
            self.ledger.complain(f"the load itself broke: {error!r}")
            raise
        finally:
            client.close()

    def await_more(self, count: int, seconds: float = 60.0) -> None:
        """Return when `count` more requests did what they were for."""
        target = self.ledger.done + count
        wait_until(lambda: self.ledger.done >= target, f"{count} more answers", seconds)

    def settle(self, url: str, place: str, token: str) -> None:
        """See that the ledger holds. Call it when all is well again and the load has ended."""
        ledger = self.ledger
        assert ledger.complaints == []
        with httpx.Client(base_url=url, timeout=_TIMEOUT) as client:
            _settle_shares(ledger, lambda share: client.get(f"/secrets/{share.id}"))
            headers = {"Authorization": f"Bearer {token}"}
            _settle_secrets(ledger, lambda key: client.get(f"{place}/{key}", headers=headers))


def _settle_shares(ledger: Ledger, get: Callable[[Share], httpx.Response]) -> None:
    for share in ledger.waiting.values():
        answer = get(share)
        assert answer.status_code == 200, f"an acknowledged share is lost: {answer.status_code}"
        assert answer.json()["content"] == share.content
    for share in ledger.in_flight.values():
        answer = get(share)
        assert answer.status_code in (200, 404)
        assert answer.status_code == 404 or answer.json()["content"] == share.content
    every = [*ledger.waiting.values(), *ledger.in_flight.values(), *ledger.opened.values()]
    wait_until(lambda: time.time() > max((s.ends for s in ledger.short), default=0), "their ends")
    with ThreadPoolExecutor(8) as pool:
        again = [answer.status_code for answer in pool.map(get, (*every, *ledger.short))]
    assert set(again) == {404}, f"opened twice, or after its end: {Counter(again)}"


def _settle_secrets(ledger: Ledger, get: Callable[[str], httpx.Response]) -> None:
    known = {key: {value} for key, value in ledger.secrets.items()}
    for key, possible in (known | ledger.uncertain).items():
        answer = get(key)
        assert answer.status_code in (200, 404)
        found = answer.json()["secret_value"] if answer.status_code == 200 else None
        assert found in possible, f"a secret is not as acknowledged: {answer.status_code}"

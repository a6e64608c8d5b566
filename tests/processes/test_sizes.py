"""Sizes: the largest secrets come back whole, eight at once, within the service's memory."""

import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.conftest import MakeService
from tests.support.clients.sharing import acknowledged, create_request, open_share
from tests.support.clients.wire import exchange, request
from tests.support.servers.service import Service

MAX = 10 * 2**20
GIB = 2**30


def _ascii() -> str:
    return "0123456789abcde\n" * (MAX // 16)


def _multi_byte() -> str:
    """Two, three and four bytes a character, none of them aligned to any block."""
    text = "aé€😀" * (MAX // 10)
    return text + "a" * (MAX - len(text.encode()))


def _escaped() -> str:
    """Control characters, each of which JSON writes in six bytes."""
    long = [chr(n) for n in range(32) if chr(n) not in "\b\t\n\f\r"]
    return "".join(itertools.islice(itertools.cycle(long), MAX))


CONTENTS: dict[str, Callable[[], str]] = {
    "ascii": _ascii,
    "multi-byte": _multi_byte,
    "escaped": _escaped,
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_largest_secret_comes_back_whole(any_crowd: Service, kind: str) -> None:
    content = CONTENTS[kind]()
    assert len(content.encode()) == MAX
    share = acknowledged(exchange(any_crowd.port, create_request(content)), content)
    assert open_share(any_crowd.port, share).json()["content"] == content
    assert open_share(any_crowd.port, share).status == 404


@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_one_byte_more_is_refused(crowd: Service, kind: str, ascii_only: bool) -> None:
    fields = {"content": CONTENTS[kind]() + "b", "duration": "1h"}
    body = json.dumps(fields, ensure_ascii=ascii_only).encode()
    answer = exchange(crowd.port, request("POST", "/secrets", body))
    assert answer.status == 413
    assert answer.json() == {"error": f"Secret exceeds maximum size of {MAX} bytes"}


class _Memory:
    """The most memory that all processes of a service held together, sampled while they run."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak = 0

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        processes = self._service.processes()
        while not self._end.wait(0.02):
            self.peak = max(self.peak, sum(map(_held, processes)))


def _held(process: psutil.Process) -> int:
    """Return the process's part of what it holds (shared pages divided among their holders)."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


@pytest.mark.parametrize("kind", ["ascii", "escaped"])
def test_eight_of_the_largest_at_once(
    make_service: MakeService, any_database: str, kind: str, record_property: Callable[..., None]
) -> None:
    """One process on SQLite, two with Redis on PostgreSQL, as they are installed by default."""
    service = make_service(any_database, redis=any_database == "postgresql")
    content = CONTENTS[kind]()
    data = create_request(content)
    with _Memory(service) as memory, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: exchange(service.port, data), range(8))
        shares = [acknowledged(answer, content) for answer in answers]
        opened = pool.map(lambda share: open_share(service.port, share), shares)
        assert all(answer.json()["content"] == content for answer in opened)
    record_property("peak_mib", memory.peak // 2**20)
    print(f"peak of {any_database}, {kind}: {memory.peak // 2**20} MiB")
    assert 0 < memory.peak < GIB

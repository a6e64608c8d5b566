"""Repository secrets on a live service: races, kills, and what is written down."""

import random
from collections import Counter

import pytest

from tests.conftest import MakeService
from tests.processes.test_kills import kill_a_worker
from tests.processes.test_traces import assert_no_trace, everything
from tests.support.clients import stored
from tests.support.clients.keeping import keeper
from tests.support.clients.wire import exchange, request, volley
from tests.support.load.secret_ledger import SecretStream
from tests.support.servers.service import Service

CROWD = 200
VALUE = "Zk3-a-value-that-nobody-may-see-"


def whole(number: int) -> str:
    """Return a value of which no part fits another one."""
    return f"{number:06d}" * 100


def is_whole(value: str) -> bool:
    return value == whole(int(value[:6]))


@pytest.mark.soak
def test_two_hundred_at_once_on_the_same_keys(any_crowd: Service, rounds: int) -> None:
    keep = keeper(any_crowd, f"crowd-{random.randrange(10**9)}")
    before = _values_over_rows(any_crowd)  # other tests of this crowd take values away on purpose
    choice = random.Random(7)
    for number in range(max(rounds // 5, 2)):
        requests, methods = [], []
        for place in range(CROWD):
            key, method = f"k{place % 5}", choice.choice(["POST", "POST", "GET", "GET", "DELETE"])
            setting = keep.set_request(key, whole(number * CROWD + place))
            requests.append(setting if method == "POST" else keep.request(method, key))
            methods.append(method)
        for method, answer in zip(methods, volley(any_crowd.port, requests), strict=True):
            expected = {"POST": {201}, "GET": {200, 404}, "DELETE": {204, 404}}
            assert answer.status in expected[method], answer.body
            if method == "GET" and answer.status == 200:
                assert is_whole(answer.json()["secret_value"])
    for key in keep.list().json():
        assert is_whole(keep.read(key).json()["secret_value"])
    assert _values_over_rows(any_crowd) == before, "as many values as rows came and went"


def _values_over_rows(service: Service) -> int:
    """Return how many values there are more than rows that point to one."""
    rows = stored.count(service, "repositories_app_repositorysecret")
    shares = stored.count(service, "secrets_app_share")
    return stored.values(service) - rows - shares


@pytest.mark.soak
def test_kills_lose_nothing(make_service: MakeService, any_database: str, rounds: int) -> None:
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="3")
    choice = random.Random(3)
    with SecretStream(service, keeper(service)) as stream:
        for _ in range(max(rounds // 3, 1)):
            stream.await_more(20)
            kill_a_worker(service, choice)
        stream.await_more(20)
    service.wait_until_well()
    stream.settle()
    assert _values_over_rows(service) == 0


def test_nothing_is_written_down(make_service: MakeService, any_database: str) -> None:
    service = make_service(any_database, redis=True, WEB_CONCURRENCY="2", ACCESS_LOG="1")
    keep = keeper(service)
    assert keep.set("MY_KEY", VALUE * 40).status == 201
    assert keep.read("MY_KEY").json() == {"secret_value": VALUE * 40}
    wrong = "fgt_" + "Wr0ngGuess55" * 3
    for data in (
        keep.request("POST", body=f'{{"secret_key": "k", "secret_value": "{VALUE}'.encode()),
        keep.set_request(VALUE + "/", VALUE),
        keep.request("GET", f"{keep.token}"),
        keep.request("PUT", VALUE),
        request("GET", f"/repositories/{keep.token}/secrets"),
        request("GET", f"{keep.place}?{keep.token}", authorization=f"Bearer {wrong}"),
        request("GET", f"/elsewhere/{keep.token}", authorization=f"Bearer {keep.token}"),
    ):
        assert 400 <= exchange(service.port, data).status < 500
    needles = [text.encode() for text in (VALUE, keep.token[10:24], keep.token[-12:], wrong)]
    assert_no_trace(everything(service), needles)
    assert service.stop() == 0
    assert_no_trace(everything(service), needles)
    assert "/repositories/[redacted]" in service.logged()


def test_the_first_start_says_how_to_get_a_token(make_service: MakeService) -> None:
    service = make_service()
    assert "create_repository" in service.logged()
    keep = keeper(service, "my-repo", "me")
    assert keep.set("A_KEY", "v").status == 201
    assert Counter([keep.read("A_KEY").status, keep.list().status]) == {200: 2}
    service.stop()
    before = len(service.logged())
    service.start()
    assert "create_repository" not in service.logged()[before:]

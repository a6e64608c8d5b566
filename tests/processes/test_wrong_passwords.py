"""Wrong passwords, sent to several processes at the same moment."""

from concurrent.futures import ThreadPoolExecutor

from tests.conftest import MakeService
from tests.support.clients.console import Console, operator

AT_ONCE = 24


def test_no_more_are_looked_at_however_many_come_at_once(make_service: MakeService) -> None:
    """Two processes count in one Redis, before they look at a password."""
    service = make_service(
        redis=True,
        WEB_CONCURRENCY="2",
        TRUSTED_PROXIES="127.0.0.1",
        DJANGO_SETTINGS_MODULE="tests.support.faults.long_windows",
    )
    operator(service)
    owner, stranger = Console(service, "198.51.100.1"), Console(service, "192.0.2.1")
    assert [owner.sign_in().status_code for _ in range(3)] == [302] * 3
    stranger.get("login/")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: stranger.sign_in(password="wrong"), range(AT_ONCE)))
    statuses = [each.status_code for each in answers]
    assert set(statuses) <= {200, 429, 503}, "503: on a slow machine, some find no place in time"
    looked_at = statuses.count(200)
    while stranger.sign_in(password="wrong").status_code == 200:
        looked_at += 1
    assert looked_at <= 10 <= looked_at + statuses.count(503)
    assert Console(service, "192.0.2.77").sign_in().status_code == 429
    assert owner.sign_in().status_code == 302

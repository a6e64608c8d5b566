"""What is printed as an address works as one."""

import re
import socket

import httpx
import pytest

from tests.conftest import MakeService


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_host_of_ipv6(make_service: MakeService, host: str) -> None:
    service = make_service(start=False, HOST=host)
    service.url = f"http://[::1]:{service.port}"
    service.start()
    printed = re.search(r"Fugata is starting on (\S+)", service.logged())
    assert printed is not None
    assert printed[1] == service.url
    assert httpx.get(f"{printed[1]}/healthz").status_code == 200


def test_a_port_of_ipv6_that_is_taken(make_service: MakeService) -> None:
    service = make_service(start=False, HOST="::1")
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", service.port))
        taken.listen()
        service.start(wait=False)
        assert service.process is not None
        assert service.process.wait(60) != 0
    assert f"[::1]:{service.port} can't be listened on" in service.logged()

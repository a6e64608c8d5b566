"""The embedded default does what its README says."""

import httpx

from tests.support.servers.service import Service


def test_create_open_once(service: Service) -> None:
    with httpx.Client(base_url=service.url) as client:
        created = client.post(
            "/secrets", json={"content": "s", "duration": "1h", "one_time": True}
        ).json()
        place = f"/secrets/{created['id']}"
        assert client.get(place).json()["content"] == "s"
        assert client.get(place).status_code == 404

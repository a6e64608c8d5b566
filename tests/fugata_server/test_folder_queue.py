"""The queue in a folder: messages come through, and a call looks once for those there are not."""

from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection, Queue

from fugata_server.folder_queue import FolderTransport


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), str(tmp_path))
    with Connection(
        "filesystem://localhost/",
        transport=FolderTransport,
        transport_options=folders | {"polling_interval": 0.01},
    ) as made:
        yield made


def test_a_message_comes_through(connection: Connection) -> None:
    came: list[object] = []
    with connection.Consumer(
        [Queue("tasks")], callbacks=[lambda body, _: came.append(body)], no_ack=True
    ):
        connection.Producer().publish({"n": 1}, routing_key="tasks")
        connection.drain_events(timeout=2)
    assert came == [{"n": 1}]


def test_a_call_looks_once_more_at_most(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def look(channel: object, queue: str, timeout: float | None = None) -> None:
        looks.append(queue)
        raise Empty

    monkeypatch.setattr(FolderTransport.Channel, "_get", look)
    with connection.Consumer([Queue("tasks")], no_ack=True), pytest.raises(TimeoutError):
        connection.drain_events(timeout=2)
    assert len(looks) <= 2

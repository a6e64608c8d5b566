"""A fault of ours at the worker's start is no message that somebody put on the queue."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from celery import Celery

from fugata_server.consumer import Consumer, Malformed

pytestmark = pytest.mark.parametrize("fault", [ValueError, LookupError, TypeError, AttributeError])


@pytest.fixture
def consumer(fault: type[Exception], monkeypatch: pytest.MonkeyPatch) -> Consumer:
    """A worker's, of which the start and the loop fail."""
    monkeypatch.setattr("celery.worker.consumer.tasks.Tasks.start", failing(fault))
    monkeypatch.setattr("celery.worker.loops.synloop", failing(fault))
    left_out = dict.fromkeys(("without_gossip", "without_mingle", "without_heartbeat"), True)
    controller = SimpleNamespace(use_eventloop=False)
    app = Celery(broker="memory://", set_as_current=False)
    return Consumer(lambda request: None, app=app, controller=controller, **left_out)


def failing(fault: type[Exception]) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise fault("the text")

    return fail


def test_a_fault_at_the_start_is_raised(consumer: Consumer, fault: type[Exception]) -> None:
    with pytest.raises(fault, match="the text"):
        consumer.start()


def test_where_a_message_is_awaited_it_is_one(consumer: Consumer, fault: type[Exception]) -> None:
    """Of which nothing is kept but the kind of the error."""
    with pytest.raises(Malformed) as raised:
        consumer.loop()
    assert str(raised.value) == fault.__name__
    assert isinstance(raised.value, consumer.connection_errors)

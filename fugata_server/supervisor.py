"""One parent for several processes: it starts them together, restarts what dies, ends them all.

Each child has a session of its own, so that Ctrl-C reaches only the parent and the children end
in order; if the parent is killed, the kernel ends them (Linux, PR_SET_PDEATHSIG).

Nothing here loads Django: the parent stays small.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import FrameType

#: The signals that end everything.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Seconds to wait before a child that died is started again.
RESTART_DELAY = 1.0
_PR_SET_PDEATHSIG = 1

logger = logging.getLogger(__name__)


@dataclass
class Child:
    """A process to run; when an `essential` one ends by itself, everything ends."""

    name: str
    command: list[str]
    essential: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    restart_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(
            self.command, start_new_session=True, preexec_fn=_end_with_parent
        )

    def running(self) -> bool:
        """Return whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number: int) -> None:
        """Send a signal to the process; SIGKILL goes to its whole process group."""
        if self.process is None:
            return
        try:
            send = os.killpg if number == signal.SIGKILL else os.kill
            send(self.process.pid, number)
        except ProcessLookupError:
            pass


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def supervise(children: list[Child], grace: float) -> int:
    """Run `children` until SIGTERM or SIGINT, or until an essential one ends.

    Then they have `grace` seconds to finish their work, before they are killed.
    Return the exit status: 0 after a signal.
    """
    stop_requests: SimpleQueue[int] = SimpleQueue()  # unlike Event, safe in a signal handler

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop_requests.put(number)

    for number in STOP_SIGNALS:
        signal.signal(number, ask_to_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # they may be inherited as blocked
    try:
        return _watch(children, stop_requests)
    finally:
        _stop_all(children, grace)


def _stop_requested_within(seconds: float, stop_requests: SimpleQueue[int]) -> bool:
    try:
        stop_requests.get(timeout=seconds)
    except Empty:
        return False
    return True


def _watch(children: list[Child], stop_requests: SimpleQueue[int]) -> int:
    for child in children:
        child.start()
    while not _stop_requested_within(0.2, stop_requests):
        for child in children:
            if child.running():
                continue
            if child.essential:
                logger.error("%s ended, so everything ends", child.name)
                return child.process.returncode if child.process else 1
            _restart_when_due(child)
    return 0


def _restart_when_due(child: Child) -> None:
    if not child.restart_at:
        logger.warning("%s ended and is started again", child.name)
        child.restart_at = time.monotonic() + RESTART_DELAY
    elif time.monotonic() >= child.restart_at:
        child.restart_at = 0.0
        child.start()


def _stop_all(children: list[Child], grace: float) -> None:
    for child in children:
        child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for child in children:
        if child.process is not None:
            try:
                child.process.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                logger.warning("%s did not end in time and is killed", child.name)
        child.send_signal(signal.SIGKILL)

"""Service health: a thread per process probes every two seconds; /healthz reads its answer.

A request never waits for a backend: one that hangs makes the last answer old, and an old
answer means "unhealthy" (docs/design.md).
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fugata_core.database_failures import ANY_ERROR, clear_frames, kinds_of
from operations_app.diagnostics.probes import KEYS, PROBES
from vault_app.backends import key_provider
from vault_app.errors import VaultError

#: Seconds between two probes; after which an answer is too old; and to wait for the first one.
PERIOD = 2.0
MAX_AGE = 5.0
FIRST_ANSWER_TIMEOUT = 1.5

logger = logging.getLogger(__name__)


def _reason(error: Exception) -> str:
    """Return what is safe to log: the vault's own messages hold no value and no key."""
    if isinstance(error, VaultError):
        return f" ({error})"
    return f" ({kinds_of(error)})" if isinstance(error, ANY_ERROR) else ""


class Monitor:
    """Keeps the newest answer: None if healthy, else the sentence that says what is wrong."""

    def __init__(self) -> None:
        self._problem: str | None = None
        self._good_until = 0.0
        self._problem_if_stuck = "Service is starting"
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the probing thread, once per process."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="health", daemon=True)
                self._thread.start()

    def problem(self) -> str | None:
        """Return what is wrong, or None. Never waits longer than `FIRST_ANSWER_TIMEOUT` seconds."""
        self.start()
        if not self._answered.wait(FIRST_ANSWER_TIMEOUT) or time.monotonic() > self._good_until:
            return self._problem_if_stuck
        return self._problem

    def _run(self) -> None:
        while True:
            self._probe()
            time.sleep(PERIOD)

    @contextmanager
    def _patience(self, sentence: str) -> Iterator[None]:
        """Let the block, a probe, take the time that it may take: a slow key service is not one
        that hangs.
        """
        self._problem_if_stuck = sentence
        if sentence == KEYS:
            self._good_until = max(self._good_until, time.monotonic() + _needed_for_keys())
        yield
        if sentence == KEYS:
            self._good_until = time.monotonic() + MAX_AGE - PERIOD

    def _probe(self) -> None:
        with self._patience(KEYS):
            _maintain_keys()
        answer, reason = None, ""
        for sentence, check in PROBES.items():
            try:
                with self._patience(sentence):
                    check()
            except Exception as error:  # a backend's client may raise anything
                clear_frames(error)
                answer, reason = sentence, _reason(error)
                break
        if answer != self._problem:
            logger.warning("health: %s%s", answer or "well again", reason)
        self._problem, self._good_until = answer, time.monotonic() + MAX_AGE
        self._problem_if_stuck = "Health probe is overdue"
        self._answered.set()


def _needed_for_keys() -> float:
    """Return the seconds that a key service which works may take, to wrap and then to unwrap."""
    try:
        return 2 * key_provider().timeout + 1
    except Exception as error:  # a provider that can't be loaded
        clear_frames(error)
        return 0.0


def _maintain_keys() -> None:
    """Have credentials for the keys renewed, also while other parts are away."""
    try:
        key_provider().maintain()
    except Exception as error:  # of a provider of one's own, anything
        clear_frames(error)


_monitor = Monitor()


def start() -> None:
    """Start probing in this process."""
    _monitor.start()


def problem() -> str | None:
    """Return what is wrong, as this process last found it, or None. Waits a moment at most."""
    return _monitor.problem()

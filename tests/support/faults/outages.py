"""The faults: how each part of an installation fails, and how it comes back."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.faults.gate import Gate
from tests.support.servers.installation import Part, RunningInstallation

Act = Callable[[], object]

#: Seconds that something is away: requests that need it are refused at once.
AWAY = 1.0
#: Seconds that something hangs: longer than the patience of who waits for it.
HANGS = 2.0
#: The same for PostgreSQL, whose clients wait five seconds for a connection.
HANGS_LONG = 6.0


@dataclass(frozen=True)
class Fault:
    """What begins it, and what ends it: `end` returns when the part itself is ready again."""

    name: str
    begin: Act
    end: Act
    lasts: float = AWAY


def _nothing() -> None:
    """It comes back by itself."""


def faults(at: RunningInstallation, disk: Path) -> list[Fault]:
    """Return every fault that can be had over and over again."""
    found = [fault for part in at.parts.values() for fault in _of_a_part(part)]
    found += [fault for web in at.webs() for fault in _of_one_process(web)]
    found += [*_of_postgresql(at, disk), *_of_redis(at), *_of_kubernetes(at)]
    gates = {"postgresql": at.to_postgresql, "redis": at.to_redis, "api server": at.to_kubernetes}
    return found + [fault for name, gate in gates.items() for fault in _of_a_way(name, gate)]


def _of_a_part(part: Part) -> list[Fault]:
    return [
        Fault(f"{part.name}: killed", part.kill, part.start),
        Fault(f"{part.name}: stopped", part.freeze, part.thaw, HANGS),
        Fault(f"{part.name}: restarted", part.stop, part.start, 0),
    ]


def _of_one_process(web: Part) -> list[Fault]:
    stop, go = signal.SIGSTOP, signal.SIGCONT
    master, child = web.signal_the_master, web.signal_a_child
    return [
        Fault(f"{web.name}: its master killed", web.kill_the_master, web.start),
        Fault(f"{web.name}: its master stopped", partial(master, stop), partial(master, go), HANGS),
        Fault(f"{web.name}: a worker killed", partial(child, signal.SIGKILL), _nothing),
        Fault(f"{web.name}: a worker stopped", partial(child, stop), partial(child, go), HANGS),
    ]


def _of_postgresql(at: RunningInstallation, disk: Path) -> list[Fault]:
    server = at.postgresql
    return [
        Fault("postgresql: killed", server.kill, server.start),
        Fault("postgresql: stopped", server.freeze, server.thaw, HANGS_LONG),
        Fault("postgresql: restarted", server.stop, server.start, 0),
        Fault("postgresql: read-only", server.forbid_writing, server.allow_writing),
        Fault("postgresql: its disk full", partial(fill, disk), partial(_make_room, at, disk)),
    ]


def _of_redis(at: RunningInstallation) -> list[Fault]:
    server = at.redis
    return [
        Fault("redis: killed", server.kill, server.start),
        Fault("redis: stopped", server.freeze, server.thaw, HANGS),
        Fault("redis: restarted", server.stop, server.start, 0),
    ]


def _of_kubernetes(at: RunningInstallation) -> list[Fault]:
    server = at.kubernetes
    return [
        Fault("api server: killed", server.kill, server.start),
        Fault("api server: stopped", server.freeze, _then_well(at, server.thaw), HANGS),
        Fault("api server: restarted", server.stop, server.start, 0),
        Fault("etcd: killed", server.kill_etcd, server.start_etcd),
        Fault("etcd: stopped", server.freeze_etcd, _then_well(at, server.thaw_etcd), HANGS),
        Fault("etcd: restarted", server.stop_etcd, server.start_etcd, 0),
    ]


def _of_a_way(name: str, gate: Gate) -> list[Fault]:
    hangs = HANGS_LONG if name == "postgresql" else HANGS
    return [
        Fault(f"the way to {name}: reset", gate.reset, _nothing, 0),
        Fault(f"the way to {name}: cut", gate.cut, gate.heal),
        Fault(f"the way to {name}: hanging", gate.hang, gate.heal, hangs),
        Fault(f"the way to {name}: slow", lambda: gate.slow(0.2), gate.heal, HANGS),
    ]


def _then_well(at: RunningInstallation, act: Act) -> Act:
    def run() -> None:
        act()
        at.kubernetes.wait_until_well()

    return run


def fill(disk: Path) -> None:
    """Leave no room on the disk."""
    piece = bytes(2**16)
    with (disk / "filler").open("ab", buffering=0) as filler:
        try:
            while filler.write(piece) == len(piece):
                pass
        except OSError:
            return


def _make_room(at: RunningInstallation, disk: Path) -> None:
    """A server whose journal found no room ends itself; its operator starts it again."""
    (disk / "filler").unlink()
    at.postgresql.start()

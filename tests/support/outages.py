"""The faults: how each part of an installation fails, and how it comes back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.gate import Gate
from tests.support.installation import Installation, Part

Act = Callable[[], object]


@dataclass(frozen=True)
class Fault:
    """What begins it, and what ends it: `end` returns when the part itself is ready again."""

    name: str
    begin: Act
    end: Act


def _nothing() -> None:
    """It comes back by itself."""


def faults(at: Installation, disk: Path) -> list[Fault]:
    """Return every fault that can be had over and over again."""
    found = [fault for part in at.parts.values() for fault in _of_a_part(part)]
    found += [
        Fault(f"{web.name}: a worker killed", web.kill_a_child, _nothing) for web in at.webs()
    ]
    for name, server in (("redis", at.redis), ("postgresql", at.postgresql)):
        found += [
            Fault(f"{name}: killed", server.kill, server.start),
            Fault(f"{name}: stopped", server.freeze, server.thaw),
        ]
    cluster = at.kubernetes
    found += [
        Fault("postgresql: restarted", at.postgresql.stop, at.postgresql.start),
        Fault("api server: killed", cluster.kill, cluster.start),
        Fault("api server: stopped", cluster.freeze, _then_well(at, cluster.thaw)),
        Fault("etcd: killed", cluster.kill_etcd, cluster.start_etcd),
        Fault("etcd: stopped", cluster.freeze_etcd, _then_well(at, cluster.thaw_etcd)),
        Fault("postgresql: its disk full", lambda: fill(disk), lambda: _make_room(at, disk)),
    ]
    gates = {"postgresql": at.to_postgresql, "redis": at.to_redis, "api server": at.to_kubernetes}
    return found + [fault for name, gate in gates.items() for fault in _of_a_way(name, gate)]


def _of_a_part(part: Part) -> list[Fault]:
    return [
        Fault(f"{part.name}: killed", part.kill, part.start),
        Fault(f"{part.name}: stopped", part.freeze, part.thaw),
        Fault(f"{part.name}: restarted", part.stop, part.start),
    ]


def _of_a_way(name: str, gate: Gate) -> list[Fault]:
    return [
        Fault(f"the way to {name}: reset", gate.reset, _nothing),
        Fault(f"the way to {name}: cut", gate.cut, gate.mend),
        Fault(f"the way to {name}: hanging", gate.hang, gate.mend),
        Fault(f"the way to {name}: slow", lambda: gate.slow(0.2), gate.mend),
    ]


def _then_well(at: Installation, act: Act) -> Act:
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


def _make_room(at: Installation, disk: Path) -> None:
    """A server whose journal found no room ends itself; its operator starts it again."""
    (disk / "filler").unlink()
    at.postgresql.start()

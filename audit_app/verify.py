"""Verifies the chain, event by event, and against heads that were kept or published."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from audit_app import chain
from audit_app.chain import GENESIS_MAC, Head
from audit_app.models import AuditEvent, AuditStub
from audit_app.odd_rows import odd_row
from fugata_core.streams import stream

#: Events between two reports of progress.
STEP = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying the chain.

    `problem`: the first thing that is wrong, or None; `head`: where the chain ends; `pruned`: those
    of the given heads that are before the first event, without a stub to compare with.
    """

    problem: str | None
    verified: int
    unsealed: int
    head: Head
    pruned: tuple[Head, ...] = ()


def verify(
    published: Collection[Head] = (), progress: Callable[[int], None] = lambda _: None
) -> Verdict:
    """Walk the chain from its first event or stub. `published`: heads that it must contain."""
    if odd := odd_row():
        return Verdict(odd.rstrip("."), 0, 0, _genesis())
    problem, start = _start()
    verified, head = 0, start
    if problem is None:
        problem, head, verified = _walk(start, _by_position(published), progress)
    problems = [problem] if problem else [_check_published(each, head, start) for each in published]
    problem = next(filter(None, problems), None)
    unsealed = AuditEvent.objects.filter(position=None).count()
    pruned = tuple(each for each in published if _is_pruned(each, start))
    return Verdict(problem, verified, unsealed, head, pruned)


def _is_pruned(published: Head, start: Head) -> bool:
    stubs = AuditStub.objects.filter(through=published.position)
    return 0 < published.position < start.position and not stubs.exists()


def _by_position(heads: Collection[Head]) -> Mapping[int, set[bytes]]:
    return {one.position: {h.mac for h in heads if h.position == one.position} for one in heads}


def _start() -> tuple[str | None, Head]:
    for stub in AuditStub.objects.order_by("through"):
        if not chain.is_genuine(stub):
            return (
                f"the stub at position {stub.through} was not made with this AUDIT_KEY",
                _genesis(),
            )
    return None, chain.head_of_stubs()


def _genesis() -> Head:
    return Head(0, GENESIS_MAC)


def _walk(
    start: Head, published: Mapping[int, set[bytes]], progress: Callable[[int], None]
) -> tuple[str | None, Head, int]:
    """Return the first problem, the last good head, and how many events were verified."""
    sealed = AuditEvent.objects.filter(position__isnull=False).order_by("position")
    head, count = start, 0
    for event in stream(sealed):
        problem, head = _next(head, event, published)
        if problem:
            return problem, head, count
        count += 1
        if count % STEP == 0:
            progress(count)
    return None, head, count


def _next(
    head: Head, event: AuditEvent, published: Mapping[int, set[bytes]]
) -> tuple[str | None, Head]:
    expected, position = head.position + 1, int(event.position or 0)
    if position < expected:
        return f"the event at position {position} was inserted: it stands before the chain", head
    if position > expected:
        return f"the event at position {expected} was removed", head
    after = chain.advance(head, event)
    if after is None:
        what = f"the event at position {position} was changed, inserted or moved"
        return f"{what} ({event.kind}, id {event.pk})", head
    if published.get(position, {after.mac}) != {after.mac}:
        return f"the chain at position {position} is not the one that was published", head
    return None, after


def _check_published(published: Head, head: Head, start: Head) -> str | None:
    """Return what is wrong if the walk did not pass the published head."""
    if published.position > head.position:
        return (
            f"the trail ends at position {head.position}, and position {published.position} was"
            " published: its end was cut off, or an older database was restored"
        )
    if published.position == start.position and published.mac != start.mac:
        return f"the chain at position {start.position} is not the one that was published"
    if published.position < start.position:
        stub = AuditStub.objects.filter(through=published.position).first()
        if stub and bytes(stub.mac) != published.mac:
            return f"the stub at position {stub.through} is not the head that was published"
    return None

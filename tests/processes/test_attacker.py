"""An attacker with the database and the master key: reads nothing, and can't bend the terms."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tests.conftest import MakeService
from tests.support.clients import stored
from tests.support.clients.sharing import Share, create, open_share
from tests.support.servers.service import Service

LATER = "2999-01-01 00:00:00+00:00"
Tamper = Callable[[Service, Share, Share], None]


def _attack(service: Service, *known: str) -> str:
    call = f"from tests.support.clients.attacker import attack; attack(*{known!r})"
    return service.manage("shell", "--no-imports", "-v", "0", "-c", call).stdout.strip()


def test_a_share_can_not_be_decrypted_without_its_link(
    make_service: MakeService, any_database: str
) -> None:
    service = make_service(any_database)
    shares = [create(service.port, f"content {n}", metadata="label") for n in range(3)]
    # The attack works: with one link at hand that share opens, and no other.
    assert _attack(service, shares[1].id[4:]).endswith(" 3 shares, 1 opened")
    without = _attack(service)
    assert without.endswith(" 3 shares, 0 opened")
    assert int(without.split()[0]) > 1000, "everything at hand was tried"
    assert open_share(service.port, shares[1]).status == 200


def _digest(share: Share) -> bytes:
    return sha256(share.id.encode()).digest()


def _set(service: Service, share: Share, column: str, value: object) -> None:
    statement = f"UPDATE secrets_app_share SET {column} = ? WHERE digest = ?"
    stored.query(service, statement, value, _digest(share))


def _get(service: Service, share: Share, column: str) -> Any:
    statement = f"SELECT {column} FROM secrets_app_share WHERE digest = ?"
    ((value,),) = stored.query(service, statement, _digest(share))
    return value


def _postpone(service: Service, share: Share, other: Share) -> None:
    _set(service, share, "expires_at", LATER)


def _flip_one_time(service: Service, share: Share, other: Share) -> None:
    flip = "UPDATE secrets_app_share SET one_time = NOT one_time WHERE digest = ?"
    stored.query(service, flip, _digest(share))


def _swap(column: str) -> Tamper:
    def swap(service: Service, share: Share, other: Share) -> None:
        mine, theirs = _get(service, share, column), _get(service, other, column)
        _set(service, share, column, theirs)
        _set(service, other, column, mine)

    return swap


def _swap_values(service: Service, share: Share, other: Share) -> None:
    names = [_get(service, one, "value_name") for one in (share, other)]
    select = "SELECT sealed FROM vault_app_storedvalue WHERE name = ?"
    values = [stored.query(service, select, name)[0][0] for name in names]
    update = "UPDATE vault_app_storedvalue SET sealed = ? WHERE name = ?"
    for name, value in zip(names, reversed(values), strict=True):
        stored.query(service, update, value, name)


def _turn_one_bit(service: Service, share: Share, other: Share) -> None:
    name = _get(service, share, "value_name")
    select = "SELECT sealed FROM vault_app_storedvalue WHERE name = ?"
    sealed = bytearray(stored.query(service, select, name)[0][0])
    sealed[-20] ^= 1
    update = "UPDATE vault_app_storedvalue SET sealed = ? WHERE name = ?"
    stored.query(service, update, bytes(sealed), name)


def _drop_value(service: Service, share: Share, other: Share) -> None:
    name = _get(service, share, "value_name")
    stored.query(service, "DELETE FROM vault_app_storedvalue WHERE name = ?", name)


TAMPERS: dict[str, Tamper] = {
    "expires_at": _postpone,
    "one_time": _flip_one_time,
    "names": _swap("value_name"),
    "data keys": _swap("wrapped_key"),
    "values": _swap_values,
    "one bit": _turn_one_bit,
    "no value": _drop_value,
}
#: Those that the same again undoes.
REVERSIBLE = ("one_time", "names", "data keys", "values", "one bit")


@pytest.mark.parametrize("one_time", [True, False])
@pytest.mark.parametrize("name", TAMPERS)
def test_a_tampered_share_is_neither_shown_nor_consumed(
    crowd: Service, name: str, one_time: bool
) -> None:
    share = create(crowd.port, "mine", one_time=one_time)
    other = create(crowd.port, "other", one_time=one_time)
    TAMPERS[name](crowd, share, other)
    for _ in range(2):
        answer = open_share(crowd.port, share)
        assert (answer.status, answer.json()) == (500, {"error": "Failed to decrypt secret"})
    assert stored.count(crowd, "secrets_app_share", "digest = ?", _digest(share)) == 1
    events = "share_digest = ? AND kind = 'opened'"
    assert stored.count(crowd, "audit_app_auditevent", events, _digest(share)) == 0
    if name in REVERSIBLE:
        TAMPERS[name](crowd, share, other)
        assert open_share(crowd.port, share).json()["content"] == "mine"


def test_a_link_can_not_be_pointed_at_another_share(crowd: Service) -> None:
    """An attacker who can write to the database gives a victim's row to a link that they made."""
    mine, victim = create(crowd.port, "mine"), create(crowd.port, "victim")
    digest = _digest(mine)
    stored.query(crowd, "DELETE FROM secrets_app_share WHERE digest = ?", digest)
    _set(crowd, victim, "digest", digest)
    answer = open_share(crowd.port, mine)
    assert (answer.status, answer.json()) == (500, {"error": "Failed to decrypt secret"})

"""Look-ups: nodes with leases and without, as the map knows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from janitoo_actors.network.leases.lookups import by_cmd_classes, by_hadd, by_name, known
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import Lease, LeaseAnswer
from janitoo_actors.protocol.messages import NodeState

LEASES = {
    Hadd(10, 0): Lease(Hadd(10, 0), "Pi", "Attic", (112,), NodeState.OFFLINE, 5.0, {"uuid": "u"}),
    Hadd(10, 1): Lease(Hadd(10, 1), "Load", "Attic", (49, 112), NodeState.BOOT, 6.0, {"uuid": "u__load"}),
}
NODES: dict[Hadd, dict[str, Any]] = {
    # The map knows better: it was renamed, and is online.
    Hadd(10, 1): {"hadd": "0010/0001", "name": "CPU load", "location": "Attic", "cmd_classes": [49], "state": "ONLINE"},
    # It never asked for a lease.
    Hadd(121, 3): {"hadd": "0121/0003", "name": "Uptime", "location": "Cellar", "cmd_classes": [49, 112], "uuid": "x"},
    # A peer says what no lease can hold.
    Hadd(121, 4): {"hadd": "0121/0004", "name": ["no text"], "location": None},
}


def found(answer: LeaseAnswer) -> dict[str, str]:
    assert answer.is_ok
    return {str(hadd): lease.name for hadd, lease in answer.leases().items()}


def test_all_that_is_known_in_order() -> None:
    assert list(known(LEASES, NODES)) == [Hadd(10, 0), Hadd(10, 1), Hadd(121, 3), Hadd(121, 4)]


def test_one_by_its_address() -> None:
    answer = by_hadd("r", Hadd(10, 1), LEASES, NODES)
    params = {"uuid": "u__load", "hadd": "0010/0001", "leased": True}
    assert answer.lease() == Lease(Hadd(10, 1), "CPU load", "Attic", (49,), NodeState.ONLINE, 6.0, params)
    assert by_hadd("r", Hadd(10, 0), LEASES, NODES).lease() == replace(
        LEASES[Hadd(10, 0)], params={"uuid": "u", "leased": True}
    )
    other = by_hadd("r", Hadd(121, 3), LEASES, NODES).lease()
    assert (other.name, other.params["leased"]) == ("Uptime", False)
    nobody = by_hadd("r", Hadd(7, 7), LEASES, NODES)
    assert (nobody.msg_status, nobody.msg_error) == (
        400,
        "nobody knows 0007/0007: it has no lease, and is not on the network",
    )


def test_by_name_and_by_location() -> None:
    assert found(by_name("r", "CPU load", None, LEASES, NODES)) == {"0010/0001": "CPU load"}
    assert found(by_name("r", None, "Attic", LEASES, NODES)) == {"0010/0000": "Pi", "0010/0001": "CPU load"}
    assert found(by_name("r", "Pi", "Cellar", LEASES, NODES)) == {}
    assert len(found(by_name("r", None, None, LEASES, NODES))) == 4


def test_by_command_classes_all_of_them() -> None:
    assert found(by_cmd_classes("r", [49], LEASES, NODES)) == {"0010/0001": "CPU load", "0121/0003": "Uptime"}
    assert found(by_cmd_classes("r", [112, 49], LEASES, NODES)) == {"0121/0003": "Uptime"}
    assert found(by_cmd_classes("r", [1], LEASES, NODES)) == {}

"""The captures of originals, heard by a network controller of ours, at the times at which they were said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from janitoo_actors.network.events import NetworkChanged, NodeRemoved
from janitoo_actors.network.states import NetworkState
from replayed_peer import TRANSCRIPTS
from simulated_network import EPOCH, Air, Controller

NODES = ["0121/0000", "0121/0001", "0121/0002", "0121/0003"]
QUERIED = "hostsensor_boot_and_queries"


def said(name: str) -> Iterator[tuple[float, str, Any]]:
    """The messages of a capture, and when they came."""
    for line in (TRANSCRIPTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        yield message["t"], message["topic"], message["payload"]


def hear(name: str, *, primary: bool) -> tuple[Controller, list[int]]:
    """A controller in the place of the captured one has heard a capture; and how many nodes it knew, each time."""
    air = Air()
    controller = Controller(air, "0001/0000" if primary else "0002/0000", primary=primary)
    controller.start()
    counts = []
    end = EPOCH
    for when, topic, payload in said(name):
        end = EPOCH + when
        air.run(end - air.now)
        text = payload if isinstance(payload, str) else json.dumps(payload)
        if controller.listens_to(topic):
            controller.hear(topic, text.encode())
        counts.append(len(controller.engine.map))
    assert air.malformed == []
    return controller, counts


def modes(controller: Controller) -> list[bool]:
    """Fail mode, each time that it has changed."""
    changes = [False]
    for _, event in controller.events:
        if isinstance(event, NetworkChanged) and event.is_failed != changes[-1]:
            changes.append(event.is_failed)
    return changes


def uuids(controller: Controller, genre: str) -> set[str]:
    return {uuid for _, of, uuid, _ in controller.values() if of == genre}


def test_a_primary_has_the_map_of_what_originals_answer() -> None:
    controller, _ = hear("primary_discovers_by_broadcast", primary=True)
    assert controller.engine.state is NetworkState.STARTED
    assert controller.states() == dict.fromkeys(NODES, "ONLINE")
    assert uuids(controller, "system") == {"heartbeat", "hadd", "config_timeout"}
    assert {"name", "location", "load_config", "load_poll"} <= uuids(controller, "config")
    assert uuids(controller, "basic") == {"load", "uptime", "total", "used", "free", "percent_use", "partition"}
    assert {index for hadd, _, uuid, index in controller.values() if uuid == "load"} == {0, 1, 2}
    # The last on the air counts, not what discovery has said.
    assert [controller.values()["0121/0001", "basic", "load", index] for index in (0, 1, 2)] == [
        value["data"] for value in list(loads("primary_discovers_by_broadcast"))[-1]
    ]


def loads(name: str) -> Iterator[list[dict[str, Any]]]:
    for _, topic, payload in said(name):
        if topic == "/values/basic/0121/0001/load":
            yield list(payload.values())


def test_a_secondary_does_not_flap_with_an_original_that_beats_every_5_seconds() -> None:
    controller, counts = hear("secondary_with_flapping_primary", primary=False)
    # For its first 25 s the original beats, and does not answer: it is building its own map.
    assert modes(controller) == [False, True, False]
    assert controller.engine.state is NetworkState.STARTED
    assert controller.states() == dict.fromkeys(NODES, "ONLINE")
    # Once there is a map, it is never empty again.
    known = [count for count in counts if count]
    assert counts[-len(known) :] == known
    assert not [event for _, event in controller.events if isinstance(event, NodeRemoved)]
    assert "load" in uuids(controller, "basic")


def test_a_secondary_whose_primary_falls_silent_keeps_its_map() -> None:
    controller, counts = hear("secondary_without_primary", primary=False)
    assert modes(controller) == [False, True]
    assert controller.engine.state is NetworkState.STARTED
    assert controller.states() == dict.fromkeys(NODES, "ONLINE")
    assert set(counts[counts.index(4) :]) == {4}
    assert {"load", "uptime"} <= uuids(controller, "basic")
    assert {"name", "load_poll"} <= uuids(controller, "config")


def test_answers_to_reads_and_writes_change_the_data_and_no_more() -> None:
    air = Air()
    controller = Controller(air, "0001/0000", primary=True)
    controller.start()
    heard = list(said(QUERIED))
    # What it asks for is answered here with what the original has answered to others.
    for _, _, payload in heard:
        if isinstance(payload, dict) and payload.get("cmd_class") == 20480 and "data" in payload:
            controller.hear("/broadcast/reply/0001/0000", json.dumps(payload).encode())
    before = {key: dict(value) for key, value in described(controller).items()}
    for _, topic, payload in heard:
        if topic.startswith("/values/"):
            controller.hear(topic, json.dumps(payload).encode())
    after = described(controller)
    assert set(after) == set(before)
    changed = {key for key in before if before[key] != after[key]}
    assert changed
    for key in changed:
        differing = {field for field in after[key] if before[key].get(field) != after[key][field]}
        assert differing <= {"data", "poll_delay", "help", "label"}, key


def described(controller: Controller) -> dict[tuple[str, str, int], Any]:
    return {
        (str(hadd), uuid, index): value
        for hadd, node in controller.engine.map.snapshot().items()
        for values in node.values.values()
        for uuid, instances in values.items()
        for index, value in instances.items()
    }

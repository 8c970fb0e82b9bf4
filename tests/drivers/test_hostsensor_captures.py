"""The declarations of the hostsensor bus are those of the original, as its captures have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.hostsensor import Disks, HostsensorBus, Load, Uptime
from janitoo_actors.api import Component, Device, Genre, Value

CAPTURE = Path(__file__).parents[1] / "data/transcripts/hostsensor_boot_and_queries.jsonl"
DEVICES: dict[str, type[Device]] = {
    "hostsensor": HostsensorBus,
    "hostsensor__load": Load,
    "hostsensor__uptime": Uptime,
    "hostsensor__disks": Disks,
}
CONFIG, POLL = "_config", "_poll"


def payloads() -> Iterator[dict[str, Any]]:
    for line in CAPTURE.read_text(encoding="utf-8").splitlines():
        payload = json.loads(line)["payload"]
        if isinstance(payload, dict):
            yield payload


def objects(payload: Any) -> Iterator[dict[str, Any]]:
    """All values and nodes in a payload, however deep."""
    if not isinstance(payload, dict):
        return
    if "node_uuid" in payload or "product_name" in payload:
        yield payload
        return
    for inner in payload.values():
        yield from objects(inner)


def captured() -> list[dict[str, Any]]:
    """Everything in the capture that describes something, at its first time; data and states change later."""
    found: dict[str, dict[str, Any]] = {}
    for payload in payloads():
        for each in objects(payload):
            description = {key: it for key, it in each.items() if key not in {"reply_hadd", "data", "state"}}
            found.setdefault(json.dumps(description, sort_keys=True), each)
    return list(found.values())


def written_polls(uuid: str) -> set[int]:
    """The poll delays of a value that the capture's tools wrote."""
    writes = (it for it in payloads() if it.get("uuid") == uuid + POLL and it.get("is_writeonly"))
    return {int(it["data"]) for it in writes}


VALUES = [it for it in captured() if "node_uuid" in it]
NODES = [it for it in captured() if "product_name" in it]
BASICS = [it for it in VALUES if it["genre"] == Genre.BASIC]
CONFIGS = [it for it in VALUES if it["genre"] == Genre.CONFIG and it["uuid"] not in {"name", "location"}]


def name(each: dict[str, Any]) -> str:
    return f"{each['node_uuid']}-{each['uuid']}-{each['index']}"


def declaration(node: str, uuid: str) -> tuple[Device, Value]:
    device = DEVICES[node]()
    return device, device.values[uuid]


def test_the_capture_holds_them_all() -> None:
    polled = {("hostsensor__load", "load"), ("hostsensor__uptime", "uptime")}
    polled |= {("hostsensor__disks", uuid) for uuid in Disks.values}
    assert {(it["node_uuid"], it["uuid"]) for it in BASICS} == polled
    with_instances = polled - {("hostsensor__uptime", "uptime")}
    configs = {(node, uuid + POLL) for node, uuid in polled}
    configs |= {(node, uuid + CONFIG) for node, uuid in with_instances}
    assert {(it["node_uuid"], it["uuid"]) for it in CONFIGS} == configs
    assert {it["uuid"] for it in NODES} == set(DEVICES)


@pytest.mark.parametrize("each", BASICS, ids=name)
def test_a_value_is_declared_as_captured(each: dict[str, Any]) -> None:
    device, value = declaration(each["node_uuid"], each["uuid"])
    instance = device.instances(each["uuid"])[each["index"]]
    # The original labels a value with its configuration only on the air.
    assert each["label"] in {value.label, f"{value.label} ({instance.text})"}
    assert each["poll_delay"] in {device.poll_delay(value.uuid), *written_polls(value.uuid)}
    assert {
        "entry_name": value.entry,
        "help": value.help,
        "units": value.units,
        "type": value.type,
        "genre": value.genre,
        "cmd_class": value.cmd_class,
        "default": value.default,
        "list_items": value.list_items,
        "min": value.minimum,
        "max": value.maximum,
        "is_polled": value.is_polled,
        "is_readonly": value.is_readonly,
        "is_writeonly": value.is_writeonly,
    } == {
        key: it
        for key, it in each.items()
        if key not in {"uuid", "node_uuid", "voice_uuid", "hadd", "index", "reply_hadd", "data", "label", "poll_delay"}
    }
    # And what it reads is what the type says.
    data = device.read(value.uuid, each["index"])
    assert type(data) is type(each["data"])


@pytest.mark.parametrize("each", [it for it in CONFIGS if it["uuid"].endswith(CONFIG)], ids=name)
def test_the_configuration_of_an_instance_is_declared_as_captured(each: dict[str, Any]) -> None:
    device, value = declaration(each["node_uuid"], each["uuid"].removesuffix(CONFIG))
    assert value.instances is not None
    assert (value.instances.label, value.instances.help, value.instances.type) == (
        each["label"],
        each["help"],
        each["type"],
    )
    assert device.instances(value.uuid)[each["index"]].text == each["data"]


@pytest.mark.parametrize("each", [it for it in CONFIGS if it["uuid"].endswith(POLL)], ids=name)
def test_the_poll_delay_is_declared_as_captured(each: dict[str, Any]) -> None:
    device, value = declaration(each["node_uuid"], each["uuid"].removesuffix(POLL))
    assert device.poll_delay(value.uuid) == each["poll_delay"] == each["data"]


@pytest.mark.parametrize("each", NODES, ids=lambda each: str(each["uuid"]))
def test_a_node_is_declared_as_captured(each: dict[str, Any]) -> None:
    device = DEVICES[each["uuid"]]
    classes = dict.fromkeys([*device.cmd_classes, *(it.cmd_class for it in device.values.values())])
    assert {
        "oid": device.oid,
        "capabilities": list(device.capabilities),
        "cmd_classes": list(classes),
        "product_name": device.product_name,
        "product_type": device.product_type,
        "product_manufacturer": device.product_manufacturer,
    } == {
        key: each[key]
        for key in (
            "oid",
            "capabilities",
            "cmd_classes",
            "product_name",
            "product_type",
            "product_manufacturer",
        )
    }
    if issubclass(device, Component):
        assert device.name == each["name"]

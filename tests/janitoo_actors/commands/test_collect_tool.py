"""`jnt_collect`: what drivers declare."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from janitoo_actors.api import Bus, Component, Genre, Instance, Instances, Setting, Value
from janitoo_actors.configuration.registry import Registry
from tool_runs import Outcome, Tool, run_program


class Board(Bus):
    oid = "board"
    product_name = "A board"
    pin = Setting[int]("config_byte", default=4, help="The first pin")


class Relay(Component):
    oid = "board.relay"
    name = "Relay"
    product_name = "A relay"
    power = Value(
        "sensor_float",
        genre=Genre.USER,
        units="W",
        help="The power \x1b[2J",
        poll_delay=30,
        instances=Instances("Channel", "The channel", defaults=("1", "2")),
    )

    @power.reader
    def read_power(self, _instance: Instance) -> float:
        return 1.0


class Other(Component):
    oid = "boarding.pass"


@pytest.fixture
def collect(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> Callable[..., Outcome]:
    """`jnt_collect` with three drivers installed."""
    registry = Registry({"board": Board}, {"board.relay": Relay, "boarding.pass": Other})
    monkeypatch.setattr(Registry, "installed", lambda: registry)
    return lambda *arguments: tool("collect", *arguments)


def test_a_component(collect: Callable[..., Outcome]) -> None:
    outcome = collect("-c", "board.relay")

    assert outcome.code == 0
    facts, values, options = (each.splitlines() for each in outcome.out.split("\n\n"))
    assert facts[:2] == ["board.relay", "----------"]
    assert facts[2].split() == ["class", f"{__name__}:Relay"]
    assert values[2].split() == ["uuid", "entry", "genre", "type", "units", "cmdclass", "poll", "instances", "help"]
    assert values[3].split() == [
        "power",
        "sensor_float",
        "user",
        "decimal",
        "W",
        "49",
        "30",
        "1,",
        "2",
        "The",
        "power",
        "\\x1b[2J",
    ]
    assert options[2].split() == ["key", "default", "type", "help"]
    assert {line.split()[0]: line[31:61].strip() for line in options[3:]} == {
        "hadd": "the next free one of its bus",
        "name": "Relay",
        "location": "that of the bus",
        "heartbeat": "that of the bus",
        "config_timeout": "3",
        "uuid": "",
        "power_config_0": "1",
        "power_config_1": "2",
        "power_poll_0": "30",
    }


def test_a_bus(collect: Callable[..., Outcome]) -> None:
    outcome = collect("--bus", "board")

    assert outcome.code == 0
    _facts, _values, options, components = (each.splitlines() for each in outcome.out.split("\n\n"))
    assert "pin_0" in {line.split()[0] for line in options}
    assert [line.split() for line in components[2:]] == [
        ["oid", "product_name", "values"],
        ["board.relay", "A", "relay", "power"],
    ]


def test_json(collect: Callable[..., Outcome]) -> None:
    document = json.loads(collect("-b", "board", "--output", "json").out)

    assert document["oid"] == "board"
    assert document["product_name"] == "A board"
    assert {
        "key": "pin_0",
        "default": "4",
        "type": "byte",
        "allowed": "a whole number from 0 to 255",
        "applies": "in_place",
        "help": "The first pin",
    } in document["options"]
    assert document["components"] == [{"oid": "board.relay", "product_name": "A relay", "values": ["power"]}]


def test_raw(collect: Callable[..., Outcome]) -> None:
    assert "board.relay power_poll_0 30" in collect("-c", "board.relay", "--output=raw").lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-c", "board.rely"), "no component 'board.rely' is installed; did you mean 'board.relay'?"),
        (("-b", "bord"), "no bus 'bord' is installed; did you mean 'board'?"),
    ],
)
def test_an_oid_that_is_not_there(collect: Callable[..., Outcome], arguments: tuple[str, ...], said: str) -> None:
    assert collect(*arguments) == Outcome(1, "", f"janitoo collect: {said}\n")


def test_the_arguments_of_the_other_tools_are_accepted(collect: Callable[..., Outcome]) -> None:
    assert collect("-c", "board.relay", "--host=192.168.14.65", "--port", "1").code == 0


def test_an_installed_driver() -> None:
    outcome = run_program("collect", "-c", "hostsensor.load")

    assert outcome.code == 0
    assert "load                      sensor_float" in outcome.out
    assert "load_config_2                  15 minutes" in outcome.out

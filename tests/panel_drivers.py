"""A bus for the tests of the wire: a panel of everything that a value can be, on a world that the test holds."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from janitoo_actors.api import Bus, Component, Genre, Instance, Instances, Setting, Value
from janitoo_actors.configuration.registry import Registry


class World:
    """What the panel is connected to.

    Attributes:
        data: What each value reads, by uuid and index; a write changes it.
        errors: What reading (`read level`) or writing (`write level`) a value, or `open`, raises.
        written: Every write, as uuid, index, data, in order.
        reads: How often each value has been read.
    """

    def __init__(self) -> None:
        self.data: dict[tuple[str, int], Any] = {}
        self.errors: dict[str, Exception] = {}
        self.written: list[tuple[str, int, Any]] = []
        self.reads: Counter[str] = Counter()
        self._gates: dict[str, threading.Event] = {}

    def hold(self, step: str) -> threading.Event:
        """Have whoever comes to a step wait there until the event is set."""
        return self._gates.setdefault(step, threading.Event())

    def release(self) -> None:
        """Let everybody go who waits."""
        for gate in self._gates.values():
            gate.set()

    def come(self, step: str) -> None:
        """A driver comes to a step: it waits, or fails, or goes on."""
        gate = self._gates.get(step)
        if gate is not None:
            gate.wait(30)
        if step in self.errors:
            raise self.errors[step]

    def read(self, uuid: str, index: int, default: Any) -> Any:
        """Read an instance of a value."""
        self.reads[uuid] += 1
        self.come(f"read {uuid}")
        return self.data.get((uuid, index), default)

    def write(self, uuid: str, index: int, data: Any) -> None:
        """Write an instance of a value."""
        self.come(f"write {uuid}")
        self.written.append((uuid, index, data))
        self.data[uuid, index] = data


class PanelBus(Bus):
    """A bus with a setting of its own."""

    oid = "panel"
    name = "Panel controller"
    product_name = "Panel"
    world: World
    speed = Setting[int]("config_integer", default=3, help="How fast the panel is", minimum=1, maximum=9)

    def open(self) -> None:
        """Fail where the world says so."""
        self.world.come("open")


def _colour(text: str) -> str:
    if text not in {"red", "green", "blue", "white"}:
        raise ValueError("expected red, green, blue or white")
    return text


class Panel(Component):
    """One of everything."""

    oid = "panel.panel"
    name = "Panel"
    product_name = "A panel"
    bus: PanelBus

    pin = Setting[int]("config_byte", default=4, help="The pin")
    mode = Setting[str]("config_list", default="slow", help="The mode", list_items=("slow", "fast"))
    inverted = Setting[bool]("config_boolean", default=False, help="Whether it is inverted")
    factor = Setting[float]("config_float", default=1.0, help="The factor", minimum=-10, maximum=10)
    texts = Setting[str]("config_string", default="", help="The texts")

    switch = Value("action_switch_binary", help="A switch", poll_delay=3600)
    dim = Value("action_switch_multilevel", help="A dimmer", minimum=0, maximum=100, units="%", poll_delay=3600)
    level = Value("sensor_float", help="A level", genre=Genre.BASIC, poll_delay=3600)
    lamps = Value(
        "action_byte",
        help="Lamps",
        genre=Genre.BASIC,
        poll_delay=3600,
        instances=Instances("colour", "The colour of a lamp", defaults=("red", "green"), parse=_colour),
    )
    ring = Value("action_button_binary", help="A bell", list_items=("short", "long"))
    order = Value("action_string", help="An order", genre=Genre.COMMAND)

    @switch.reader
    def read_switch(self, instance: Instance) -> Any:
        return self.bus.world.read("switch", instance.index, "off")

    @switch.writer
    def write_switch(self, instance: Instance, data: Any) -> None:
        self.bus.world.write("switch", instance.index, data)

    @dim.reader
    def read_dim(self, instance: Instance) -> Any:
        return self.bus.world.read("dim", instance.index, 0)

    @dim.writer
    def write_dim(self, instance: Instance, data: Any) -> None:
        self.bus.world.write("dim", instance.index, data)

    @level.reader
    def read_level(self, instance: Instance) -> Any:
        return self.bus.world.read("level", instance.index, 1.5)

    @lamps.reader
    def read_lamps(self, instance: Instance) -> Any:
        return self.bus.world.read("lamps", instance.index, 0)

    @lamps.writer
    def write_lamps(self, instance: Instance, data: Any) -> None:
        self.bus.world.write("lamps", instance.index, data)

    @ring.writer
    def write_ring(self, instance: Instance, data: Any) -> None:
        self.bus.world.write("ring", instance.index, data)

    @order.writer
    def write_order(self, instance: Instance, data: Any) -> None:
        self.bus.world.write("order", instance.index, data)


def registry(world: World, **others: World) -> Registry:
    """The drivers, on this world; each of `others` gives a bus with an oid, and a world, of its own."""
    buses = {oid: _on(each) for oid, each in {"panel": world, **others}.items()}
    return Registry(buses, {Panel.oid: Panel})


def _on(its_world: World) -> type[PanelBus]:
    class OnWorld(PanelBus):
        world = its_world

    return OnWorld

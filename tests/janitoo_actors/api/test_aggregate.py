"""Buses that hold others: which component is on which, what is open, and what one that is lost leaves of the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from janitoo_actors.api import (
    Aggregate,
    Bus,
    BusLostError,
    Component,
    DeviceBusyError,
    Genre,
    Hardware,
    Instance,
    Instances,
    Option,
    PermanentError,
    Setting,
    TemporaryError,
    Value,
    Whole,
)


class Part(Bus):
    oid = "part"
    number = Option(Whole(0, 9), default=1, help="A number")
    mode = Setting[str]("config_string", default="slow", help="The mode")
    found = Value("sensor_integer", genre=Genre.BASIC, help="What it finds", poll_delay=60)
    lines = Value("action_switch_binary", help="Lines", instances=Instances("line", "A line", defaults=("a", "b")))

    def __init__(self, uuid: str = "", options: dict[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self.log: list[str] = []
        self.fails: Exception | None = None
        self.written: list[tuple[str, str]] = []

    def open(self) -> None:
        self.log.append("open")
        if self.fails is not None:
            raise self.fails

    def close(self) -> None:
        self.log.append("close")

    @found.reader
    def read_found(self, _instance: Instance) -> int:
        return 3

    @lines.writer
    def write_lines(self, instance: Instance, data: str) -> None:
        self.written.append((instance.text, data))


class OtherPart(Bus):
    oid = "other"


class OnPart(Component):
    oid = "part.sensor"
    bus_class = Part
    level = Value("sensor_float", help="The level", poll_delay=60)
    opened = 0

    def open(self) -> None:
        self.opened += 1

    @level.reader
    def read_level(self, _instance: Instance) -> float:
        return float(self.bus.number)


class OnAny(Component):
    oid = "any.sensor"


class OnNone(Component):
    oid = "none.sensor"
    bus_class = type("Unheld", (Bus,), {})


class Both(Aggregate):
    oid = "both"
    parts = (Part, OtherPart)
    own = Value("sensor_float", help="Its own", poll_delay=60)

    @own.reader
    def read_own(self, _instance: Instance) -> float:
        return 1.5


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass for what waits to be tried again."""
    now = time.monotonic()

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("janitoo_actors.api.aggregate.time.monotonic", lambda: now)
    return advance


def opened(bus: Both) -> OnPart:
    component = OnPart()
    component.bus = bus.bus_for(component)
    bus.components["sensor"] = component
    bus.open_all()
    bus.open_component(component)
    return component


def level(bus: Both, component: OnPart) -> float:
    return bus.serve(component, lambda: float(component.read("level")))


def test_values_options_and_settings_of_the_parts_are_its_own() -> None:
    bus = Both(options={"number": "7", "mode_0": "fast", "lines_config_0": "x"})
    part = bus.part(Part)
    assert list(Both.values) == ["own", "mode", "found", "lines"]
    assert (part.number, part.mode, bus.setting("mode")) == (7, "fast", "fast")
    assert (bus.read("own"), bus.read("found")) == (1.5, 3)
    assert bus.change_setting("mode", "slow") == part.mode == bus.setting("mode") == "slow"
    bus.write("lines", "on")
    restore = bus.remember_instances()
    bus.change_instance("lines", "y")
    bus.write("lines", "off")
    restore()
    bus.write("lines", "on")
    bus.take_instances(Both(options={"lines_config_0": "z"}))
    bus.write("lines", "on")
    assert part.written == [("x", "on"), ("y", "off"), ("x", "on"), ("z", "on")]
    with pytest.raises(LookupError):
        bus.part(Both)


def test_which_components_it_carries() -> None:
    assert [Both.carries(each) for each in (OnPart, OnAny, OnNone)] == [True, True, False]
    assert [Part.carries(each) for each in (OnPart, OnAny, OnNone)] == [True, True, False]
    assert OtherPart.carries(OnPart) is False


def test_two_that_declare_the_same_are_refused() -> None:
    class Same(Bus):
        mode = Setting[str]("config_string", default="slow", help="Another mode")

    with pytest.raises(TypeError, match="Bad has mode already, which Same declares too"):
        type("Bad", (Aggregate,), {"parts": (Part, Same)})


def test_a_part_that_cannot_be_opened_is_tried_again_with_growing_pauses(clock: Callable[[float], None]) -> None:
    bus = Both()
    part = bus.part(Part)
    part.fails = TemporaryError("the adapter is not there")
    component = opened(bus)
    # Once: its component need not try it again at the same moment.
    assert (part.log, component.opened) == (["open", "close"], 0)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        clock(pause - 0.01)
        with pytest.raises(TemporaryError, match="the adapter is not there"):
            level(bus, component)
        count = len(part.log)
        clock(0.02)
        with pytest.raises(TemporaryError, match="the adapter is not there"):
            level(bus, component)
        assert len(part.log) == count + 2
        # Its value is not known; the aggregate is well.
        assert (bus.read("found"), bus.read("own")) == (None, 1.5)
    part.fails = None
    clock(61)
    assert level(bus, component) == 1
    assert (component.opened, bus.read("found")) == (1, 3)


def test_a_part_that_is_lost_is_opened_again_and_its_components_with_it() -> None:
    bus = Both()
    component = opened(bus)
    part = bus.part(Part)

    def lose() -> float:
        raise BusLostError("the adapter is gone")

    with pytest.raises(TemporaryError, match="the adapter is gone") as caught:
        bus.serve(component, lose)
    assert not isinstance(caught.value, BusLostError)
    assert part.log == ["open", "close"]
    assert level(bus, component) == 1
    assert (part.log, component.opened) == (["open", "close", "open"], 2)
    bus.close_component(component)
    bus.close_all()
    assert part.log[-1] == "close"


def test_what_can_never_work_stays_permanent() -> None:
    bus = Both()
    bus.part(Part).fails = PermanentError("the library is not installed")
    component = opened(bus)
    with pytest.raises(PermanentError, match="the library is not installed"):
        level(bus, component)


def test_a_bus_that_is_lost_without_a_part_is_lost() -> None:
    bus = Both()
    bus.open_all()
    component = OnAny()
    component.bus = bus.bus_for(component)
    bus.open_component(component)

    def lose() -> None:
        raise BusLostError("it is gone")

    with pytest.raises(BusLostError):
        bus.serve(component, lose)


class Claimed:
    """The claims of a machine, of which somebody else has something."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.claimed: list[tuple[str, str]] = []

    def claim(self, hardware: Hardware, device: str) -> None:
        if hardware.key in self.taken:
            raise DeviceBusyError(f"{hardware} is taken by another server")
        self.claimed.append((hardware.key, device))


class AtPin(OnPart):
    oid = "part.at_pin"

    def takes(self) -> Iterable[Hardware]:
        return [Hardware.gpio(4)]


class OnAdapter(Part):
    def takes(self) -> Iterable[Hardware]:
        return [Hardware.i2c(1)]


@pytest.mark.parametrize("taken", ["gpio-0-4", "i2c-1"])
def test_what_another_server_has_keeps_only_its_own_from_working(clock: Callable[[float], None], taken: str) -> None:
    class Claiming(Aggregate):
        oid = "claiming"
        parts = (OnAdapter, OtherPart)

    claims = Claimed()
    claims.taken.add(taken)
    bus = Claiming()
    bus.attach(claims, None)
    component, other = AtPin("pin"), OnAny("other")
    for each in (component, other):
        each.bus = bus.bus_for(each)
        each.attach(claims, None)
        bus.components[each.uuid] = each
    bus.claim_all()
    bus.open_all()
    for each in (component, other):
        bus.open_component(each)
    assert [hardware.key for hardware in bus.takes_all()] == ["i2c-1"]
    assert (component.opened, bus.serve(other, lambda: 5)) == (0, 5)
    with pytest.raises(TemporaryError, match="is taken by another server"):
        bus.serve(component, lambda: 5)
    claims.taken.clear()
    clock(2)
    assert (bus.serve(component, lambda: 5), component.opened) == (5, 1)
    assert claims.claimed == [("i2c-1", "claiming"), ("gpio-0-4", "pin")]

"""docs/aggregation.md and docs/simulator.md: their examples run, and their tables are what the drivers declare."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from drivers.gpio import GpioBus, Output
from drivers.tutorial import TutorialBus
from janitoo_actors.api import Component, Instance, ManualRuntime, Setting
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.simulation import simulated
from janitoo_actors.simulation.faults import Fault
from janitoo_actors.simulation.sources import Kind, SourceType

DOCS = Path(__file__).parents[2] / "docs"
AGGREGATION, SIMULATOR, DRIVERS = (
    (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("aggregation", "simulator", "drivers")
)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The examples of the page, as one module."""
    module = ModuleType("aggregation_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in re.findall(r"^```python\n(.*?)^```", AGGREGATION, re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/aggregation.md", "exec"), vars(module))
    return module


def test_the_room_counts_how_often_the_door_is_found_open(page: ModuleType) -> None:
    room = page.WatchedRoom(options={"boardmode_0": "BOARD"})
    assert room.part(GpioBus).bcm(11) == 17
    room.heard(Component(), "state", (True,))
    room.heard(Component(), "state", (None,))
    assert room.read_open_for(Instance()) == 1


def test_the_pump_is_switched(page: ModuleType) -> None:
    bus = simulated(page.Pump)()
    runtime = ManualRuntime()
    bus.attach(None, runtime)
    pump = simulated(Output)("pump")
    pump.attach(None, runtime)
    pump.bus = bus.bus_for(pump)
    bus.components["pump"] = pump
    bus.started()
    assert (bus.start(), pump.read("switch"), runtime.delays) == (True, "on", {("pump", "switch"): 5})
    runtime.advance(600)
    assert (bus.read("state"), pump.read("switch"), runtime.delays) == ("resting", "off", {})


def test_the_settings_of_the_tutorial_are_in_the_page() -> None:
    own = {uuid: value for uuid, value in vars(TutorialBus).items() if isinstance(value, Setting)}
    rows = dict(re.findall(r"^\| `(\w+)_0` \| (.*) \|$", AGGREGATION, re.MULTILINE))
    assert rows == {uuid: f"{value.help} | {value.default:g} {value.units}" for uuid, value in own.items()}
    lines = (DOCS.parent / "drivers/tutorial.py").read_text(encoding="utf-8").count("\n")
    assert f"in {lines} lines" in AGGREGATION
    assert lines < 100


def test_the_page_of_the_simulator_has_every_fault_and_source() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| [^|]* \|$", SIMULATOR, re.MULTILINE)) == set(Fault)
    kinds = "|".join(Kind)
    sources = re.findall(rf"^\| `((?:{kinds}) [^`]*)` \|", SIMULATOR, re.MULTILINE)
    assert {text.split()[0] for text in sources} == set(Kind)
    registry = Registry.installed()
    number = registry.component("rpibasic.dht").values["temperature"]
    word = registry.component("nut.ups").values["status"]
    for text in sources:
        assert SourceType(word if text.startswith(("choice", "held")) else number).parse(text).text == text


@pytest.mark.parametrize("oid", [each for each in Registry.installed().component_oids if each.startswith("rpigpio.")])
def test_every_value_and_setting_of_rpigpio_is_in_the_reference(oid: str) -> None:
    rows = dict(re.findall(r"^\| `(rpigpio\.\w+)` \| (.*)$", DRIVERS, re.MULTILINE))
    row = rows[oid] if oid != "rpigpio.pir" else rows["rpigpio.input"].replace("state", "presence")
    component = Registry.installed().component(oid)
    for uuid, value in component.values.items():
        assert (f"`{uuid}_0`" if isinstance(value, Setting) else f"`{uuid}`") in row

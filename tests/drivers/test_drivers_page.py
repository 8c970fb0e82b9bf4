"""docs/drivers.md: its examples run, and its reference is what the drivers declare."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from drivers.hostsensor import Disks, Load, PiCpu, Processes, Uptime
from janitoo_actors.api import BusLostError, Component, ManualRuntime, OptionsError, TemporaryError
from janitoo_actors.api.extended import extended
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs/drivers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMPONENTS: list[type[Component]] = [Load, Uptime, Disks, Processes, PiCpu]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The examples of the page, as one module."""
    module = ModuleType("drivers_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/drivers.md, example {number}", "exec"), vars(module))
    return module


def test_the_first_example_is_a_component_of_15_lines(page: ModuleType) -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 15
    memory = page.Memory()
    assert 2**20 < memory.read("available") < 2**50
    assert memory.poll_delay("available") == 60
    assert memory.values["available"].units == "Bytes"


def test_the_tests_of_the_page_pass(page: ModuleType) -> None:
    tests = [it for key, it in vars(page).items() if key.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()


def test_the_bus_of_the_page_opens_and_closes(page: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "relays"
    bus = page.RelayBoard(options={"device_0": str(file)})
    with pytest.raises(TemporaryError, match=rf"no relay board at {file}: No such file or directory"):
        bus.open()
    bus.close()
    file.touch()
    bus.open()
    relays = page.Relays()
    relays.bus = bus
    relays.write("relay", "on", index=1)
    relays.write("relay", "off", index=0)
    bus.close()
    assert bus.board is None
    assert file.read_bytes() == b"\x02\x01\x01\x00"


def test_the_doorbell_of_the_page_pushes(page: ModuleType) -> None:
    bell = page.Doorbell()
    bell.runtime = ManualRuntime()
    bell.listen = lambda call: call()
    bell.open()
    assert bell.runtime.changes == [("relays.doorbell", "pressed")]


def test_the_siren_of_the_page_extends_its_bus(page: ModuleType) -> None:
    bus = extended(page.RelayBoard, (page.Siren,))(options={"siren_channel": "7"})
    bus.board = BytesIO()  # type: ignore[attr-defined]
    bus.part(page.Siren).open()
    bus.siren.sound()  # type: ignore[attr-defined]
    assert bus.board.getvalue() == b"\x07\x01"  # type: ignore[attr-defined]


def test_a_board_that_does_not_take_it_is_a_bus_that_is_lost(page: ModuleType) -> None:
    bus = page.RelayBoard(options={"device_0": "/dev/full"})
    bus.open()
    relays = page.Relays()
    relays.bus = bus
    with pytest.raises(BusLostError, match="the relay board does not answer: No space left on device"):
        relays.write("relay", "on")
    bus.close()


def test_the_meter_of_the_page(page: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    (tmp_path / "meter").write_text("s3cret\n")
    path.write_text("[meter]\nhadd = 0131/0000\nhost = 192.168.14.70\npassword_file = meter\nserial = /dev/none\n")
    config = load(path, Registry({"meter": page.Meter}, {}))
    assert config.problems == ()
    [bus] = config.buses
    meter = page.Meter("meter", bus.node.options)
    assert (meter.host, meter.port, meter.password) == ("192.168.14.70", 3493, "s3cret")
    assert [need.file for need in meter.takes()] == [Path("/dev/none")]


def test_the_page_is_right_about_what_is_refused(page: ModuleType) -> None:
    with pytest.raises(OptionsError, match="relay_config_0 = 9: expected a channel from 1 to 8"):
        page.Relays(options={"relay_config_0": "9"})
    relays = page.Relays()
    relays.bus = page.RelayBoard()
    relays.bus.board = BytesIO()
    with pytest.raises(ValueError, match=r"^expected one of on, off"):
        relays.write("relay", "perhaps")
    assert relays.bus.board.getvalue() == b""


def section(component: type[Component]) -> str:
    match = re.search(rf"^## {re.escape(component.oid)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert match is not None, f"the page has no section {component.oid}"
    return match[1]


def rows(component: type[Component], header: str) -> list[list[str]]:
    """The rows of the table in a component's section that has this header."""
    table: list[list[str]] = []
    inside = False
    for line in section(component).splitlines():
        if line == header:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_reference_has_the_values_that_are_declared(component: type[Component]) -> None:
    declared: list[list[Any]] = [
        [f"`{uuid}`", value.help, value.units or "", f"{value.poll_delay:g}"]
        for uuid, value in component.values.items()
    ]
    assert rows(component, "| value | what | units | poll |") == declared


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_reference_has_the_options_that_are_declared(component: type[Component]) -> None:
    documented = [row[0] for row in rows(component, "| option | what | default |")]
    declared = [f"`{key}`" for key in component.schema() if not key.endswith("_poll_0")]
    if component is Processes:
        # Its eleven other options are one row.
        declared = ["`memory_rss_config_<index>`", "`<value>_config_<index>`"]
    assert documented == declared

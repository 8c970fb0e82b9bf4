"""Finding drivers by their oids."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import example_drivers
from example_drivers import HostBus, NutBus, Ups
from janitoo_actors.api import Bus, Component
from janitoo_actors.configuration.registry import BUSES, COMPONENTS, DriverError, Registry


def point(value: str, name: str = "x.y", group: str = COMPONENTS) -> EntryPoint:
    return EntryPoint(name, value, group)


def test_classes_by_oid() -> None:
    registry = example_drivers.registry()
    assert registry.bus("nut") is NutBus
    assert registry.component("nut.ups") is Ups
    assert registry.bus_oids == ("hostsensor", "nut")
    assert registry.component_oids == ("hostsensor.broken", "hostsensor.uptime", "nut.ups")


@pytest.mark.parametrize(
    ("oid", "expected"),
    [
        ("nut.upss", "no component 'nut.upss' is installed; did you mean 'nut.ups'?"),
        (
            "zigbee.bulb",
            "no component 'zigbee.bulb' is installed; installed: hostsensor.broken, hostsensor.uptime, nut.ups",
        ),
    ],
)
def test_unknown_component(oid: str, expected: str) -> None:
    with pytest.raises(DriverError) as failure:
        example_drivers.registry().component(oid)
    assert str(failure.value) == expected


def test_many_components_are_not_listed() -> None:
    registry = Registry({}, {f"bus.number{number}": Component for number in range(100)})
    with pytest.raises(DriverError) as failure:
        registry.component("zigbee")
    assert str(failure.value) == "no component 'zigbee' is installed"


def test_nothing_is_installed() -> None:
    with pytest.raises(DriverError, match="no bus 'attic' is installed; installed: none"):
        Registry({}, {}).bus("attic")


def test_entry_point_is_loaded_when_it_is_asked_for() -> None:
    registry = Registry({"nut": (point("example_drivers:NutBus"),), "no": (point("no.such.module:X"),)}, {})
    assert registry.bus("nut") is NutBus
    assert registry.bus("nut") is NutBus
    assert registry.bus_oids == ("no", "nut")


def test_import_failure_names_the_entry_point() -> None:
    with pytest.raises(DriverError) as failure:
        Registry({}, {"x.y": (point("no_such_module:X"),)}).component("x.y")
    assert str(failure.value) == (
        "the component 'x.y' cannot be imported from the entry point 'no_such_module:X': "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_driver_that_raises_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising_driver.py").write_text("raise ZeroDivisionError('a bug')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DriverError, match="ZeroDivisionError: a bug"):
        Registry({}, {"x.y": (point("raising_driver:X"),)}).component("x.y")


@pytest.mark.parametrize("value", ["example_drivers:NutBus", "example_drivers:parse_minutes", "example_drivers"])
def test_object_of_the_wrong_class(value: str) -> None:
    with pytest.raises(DriverError) as failure:
        Registry({}, {"x.y": (point(value),)}).component("x.y")
    assert str(failure.value) == (
        f"the component 'x.y' of the entry point {value!r} is broken: expected a subclass of Component"
    )


def test_two_providers_of_one_oid() -> None:
    both = (point("example_drivers:Ups"), point("other:Ups"))
    with pytest.raises(DriverError, match=r"provided by the entry point 'example_drivers:Ups' and .*'other:Ups'"):
        Registry({}, {"x.y": both}).component("x.y")


def test_distribution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    information = tmp_path / "third_party-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.2\n")
    (information / "entry_points.txt").write_text(
        f"[{BUSES}]\nthird = no_third:Bus\nfourth = example_drivers:HostBus\n[{COMPONENTS}]\nthird.x = no_third:X\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    # The one that is kept for all callers does not know of it.
    registry: Registry = Registry.installed.__wrapped__()
    assert registry.bus("fourth") is HostBus
    with pytest.raises(DriverError, match=r"from the entry point 'no_third:Bus' of third-party 1\.2: ModuleNotFound"):
        registry.bus("third")
    assert "third.x" in registry.component_oids


def test_installed_is_read_once() -> None:
    assert Registry.installed() is Registry.installed()
    assert issubclass(Registry.installed().bus("hostsensor"), Bus)


def test_no_driver_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys\n"
        "from janitoo_actors.configuration import loader, store\n"
        "from janitoo_actors.configuration.registry import Registry\n"
        "print('importlib.metadata' in sys.modules, Registry.installed().bus_oids)\n"
        "print(any(name.split('.')[0] == 'drivers' for name in sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == f"False {Registry.installed().bus_oids}\nFalse\n"

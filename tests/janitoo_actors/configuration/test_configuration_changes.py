"""The difference between two configurations."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faulty_drivers import registry
from janitoo_actors.api import Applies
from janitoo_actors.configuration.changes import Plan, difference, node_texts
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import BusConfig, ServerConfig
from janitoo_actors.configuration.registry import Registry
from random_configurations import configurations

BUS = """
[one]
oid = faulty
hadd = 0701/0000
components.sensor = faulty.sensor
components.pair = faulty.pair
components.settable = faulty.settable
components.pinned = faulty.pinned

[one__sensor]
hadd = 0701/0001
"""
REST = """
[one__pair]
hadd = 0701/0002
[one__settable]
hadd = 0701/0003
[one__pinned]
"""


def load_text(text: str, drivers: Registry | None = None) -> ServerConfig:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "my.conf"
        path.write_text(text, encoding="utf-8")
        config = load(path, drivers if drivers is not None else registry())
        assert not config.problems
        return config


def plan(old: str, new: str) -> Plan:
    return difference(load_text(old), load_text(new))


def test_the_same_file_is_no_change() -> None:
    found = plan(BUS + REST, BUS + REST)
    assert found.is_empty
    assert found.lines() == []
    assert (found.added, found.removed, found.restarted, found.tuned) == ((), (), (), ())


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\n" + BUS + "\n\n; another\n" + REST,
        BUS.replace("components.sensor = faulty.sensor\n", "").replace(
            "components.settable", "components.sensor = faulty.sensor\ncomponents.settable"
        )
        + REST
        + "[system]\n",
        BUS + "temperature_poll_0 = 300\n" + REST,
        BUS + "heartbeat = 30\nlocation = Default location\n" + REST + "level_config_0 = nobody\n",
        BUS + REST.replace("[one__pair]", "[one__pair]\nlevel_config_0 = left\nlevel_config_1 = right"),
        BUS.replace("hadd = 0701/0000", "auto_start = yes\nuuid = 1234\nhadd=701/0") + REST,
    ],
)
def test_what_is_no_change(text: str) -> None:
    assert plan(BUS + REST, text).lines() == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("name = Attic", "[one__sensor] name: 'sensor' → 'Attic'"),
        ("location = Attic", "[one__sensor] location: 'Default location' → 'Attic'"),
        ("heartbeat = 7.5", "[one__sensor] heartbeat: '30' → '7.5'"),
        ("config_timeout = 5", "[one__sensor] config_timeout: '3' → '5'"),
        ("temperature_poll_0 = 10", "[one__sensor] temperature_poll_0: '300' → '10'"),
    ],
)
def test_what_every_node_has_changes_in_place(line: str, shown: str) -> None:
    found = plan(BUS + REST, BUS + line + REST)
    assert found.lines() == [shown]
    assert [each.bus.section for each in found.tuned] == ["one"]
    assert (found.added, found.removed, found.restarted) == ((), (), ())
    (back,) = difference(load_text(BUS + line + REST), load_text(BUS + REST)).tuned
    assert [change.applied for change in back.changes] == [Applies.IN_PLACE]


@pytest.mark.parametrize(
    ("section", "line", "shown"),
    [
        ("pair", "level_config_0 = top\nlevel_config_1 = right", "level_config_0: 'left' → 'top'"),
        ("settable", "mode_0 = fast", "mode_0: 'slow' → 'fast'"),
        ("pinned", "mode_0 = fast", "mode_0: 'slow' → 'fast'"),
    ],
)
def test_what_a_driver_takes_in_place(section: str, line: str, shown: str) -> None:
    found = plan(BUS + REST, (BUS + REST).replace(f"[one__{section}]", f"[one__{section}]\n{line}"))
    assert found.lines() == [f"[one__{section}] {shown}"]
    assert [each.bus.section for each in found.tuned] == ["one"]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("0701/0002", "0701/0009", "[one__pair] hadd: '0701/0002' → '0701/0009'"),
        ("[one__pair]", "[one__pair]\nlevel_config_0 = left", "[one__pair] level_config_1: 'right' → nothing"),
        ("[one__pinned]", "[one__pinned]\npin_0 = 5", "[one__pinned] pin_0: '4' → '5'"),
        ("components.pair = faulty.pair\n", "", "[one] components.pair: 'faulty.pair' → nothing"),
        ("faulty.settable", "faulty.switch", "[one] components.settable: 'faulty.settable' → 'faulty.switch'"),
        ("oid = faulty", "oid = faulty\nisolation = process", "[one] isolation: 'thread' → 'process'"),
    ],
)
def test_what_restarts_the_bus(old: str, new: str, shown: str) -> None:
    found = plan(BUS + REST, (BUS + REST).replace(old, new, 1))
    assert f"    {shown}" in found.lines()
    assert found.lines()[0] == "[one] restarts:"
    assert [each.bus.section for each in found.restarted] == ["one"]
    assert (found.added, found.removed, found.tuned) == ((), (), ())


def test_buses_come_and_go() -> None:
    found = plan(BUS + REST, (BUS + REST).replace("[one", "[two").replace("0701", "0702"))
    assert found.lines() == ["[one] stops", "[two] starts: 0702/0000, 4 components"]


def test_a_bus_that_is_not_to_start_stops() -> None:
    two = "[two]\noid = faulty\ncomponents.pair = faulty.pair\nhadd = 0702/0000\n"
    assert plan(BUS + REST + two, BUS + REST + two + "auto_start = False\n").lines() == ["[two] stops"]


@pytest.mark.parametrize(
    ("line", "shown", "restarted"),
    [
        ("max_backoff = 5", "[system] max_backoff: '60' → '5': for all buses", True),
        ("broker_ip = 10.0.0.1", "[system] broker_ip: '127.0.0.1' → '10.0.0.1': for all buses", True),
        ("auto_reload = True", "[system] auto_reload: 'False' → 'True'", False),
        ("service = other", "[system] service: 'my' → 'other'", False),
        ("pid_dir = /run", "[system] pid_dir: '/opt/janitoo/run' → '/run': not before the server is restarted", False),
        (
            "broker = embedded",
            "[system] broker: 'external' → 'embedded': not before the server is restarted",
            False,
        ),
    ],
)
def test_keys_of_system(line: str, shown: str, restarted: bool) -> None:
    old, new = load_text(BUS + REST), load_text(f"[system]\n{line}\n" + BUS + REST)
    found = difference(old, new)
    assert shown in found.lines()
    assert bool(found.restarted) is restarted
    # What waits is not in force, and so is still a difference.
    still = difference(found.config, new).lines()
    assert still == ([shown] if "not before" in shown else [])


def test_passwords_are_not_shown() -> None:
    system = "[system]\nbroker_user = me\nbroker_password = {}\n"
    lines = plan(system.format("secret1") + BUS + REST, system.format("secret2") + BUS + REST).lines()
    assert "[system] broker_password: '***' → '***': for all buses" in lines


def test_the_sections_of_the_log() -> None:
    log = "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=\n[logger_root]\nlevel={}\nhandlers=\n"
    old, new = (log.format(level) + BUS + REST for level in ("INFO", "DEBUG"))
    found = plan(old, new)
    assert found.logging
    assert found.lines() == ["the log: its sections are read again"]
    assert not plan(old, old).logging


def texts(config: ServerConfig) -> dict[str, object]:
    """What people see of the buses."""
    seen: dict[str, object] = {}
    for bus in config.buses:
        seen[bus.section] = (bus.bus_class, bus.isolation, node_texts(bus.node, bus.bus_class))
        for each in bus.components:
            seen[each.node.uuid] = (each.component_class, node_texts(each.node, each.component_class))
    return seen


@given(configurations("[system]\nservice = test", isolations=("thread", "process")), st.data())
def test_the_plan_leads_from_one_to_the_other(old_text: str, data: st.DataObject) -> None:
    new_text = data.draw(configurations("[system]\nservice = test", isolations=("thread", "process")))
    old, new = load_text(old_text), load_text(new_text)
    found = difference(old, new)
    buses: dict[str, BusConfig] = {bus.section: bus for bus in old.buses}
    for bus in found.removed:
        del buses[bus.section]
    for bus in found.added:
        assert bus.section not in buses
        buses[bus.section] = bus
    for each in found.restarted:
        buses[each.bus.section] = each.bus
    for each in found.tuned:
        before = buses[each.bus.section]
        # The same nodes at the same places, or it could not go on.
        assert {c.node.hadd: c.component_class for c in before.components} == {
            c.node.hadd: c.component_class for c in each.bus.components
        }
        assert (before.node.hadd, before.isolation) == (each.bus.node.hadd, each.bus.isolation)
        buses[each.bus.section] = each.bus
    assert buses.keys() == {bus.section for bus in new.buses}
    assert texts(new) == texts(ServerConfig(new.path, new.ini, new.system, tuple(buses.values())))
    assert found.is_empty is (texts(old) == texts(new))
    assert difference(found.config, new).is_empty


ADC = """
[rpii2c]
hadd = 0701/0000
components.adc = rpii2c.ads1115
[rpii2c__adc]
hadd = 0701/0001
range = 2.048
"""


def test_options_that_instances_have_of_their_own() -> None:
    def adc(own: str) -> ServerConfig:
        return load_text(f"{ADC}{own}\n", Registry.installed())

    def lines(old: str, new: str) -> list[str]:
        found = difference(adc(old), adc(new))
        assert [change.bus.section for change in found.restarted] == ["rpii2c"]
        return [line.strip() for line in found.lines()[1:]]

    assert lines("", "range_1 = 0.256") == ["[rpii2c__adc] range_1: nothing → '0.256'"]
    assert lines("range_1 = 0.256", "range_1 = 4.096") == ["[rpii2c__adc] range_1: '0.256' → '4.096'"]
    assert lines("scale_3 = 2.5", "") == ["[rpii2c__adc] scale_3: '2.5' → nothing"]


def test_the_texts_of_every_driver_that_is_installed_are_those_of_its_options() -> None:
    drivers = Registry.installed()
    for oid in drivers.component_oids:
        component_class = drivers.component(oid)
        node = replace(load_text(ADC, drivers).buses[0].components[0].node, options={"address": "0x21"})
        assert not [key for key in node_texts(node, component_class) if "<" in key]

"""The schema: what a key is, a further section, which extra brings a driver."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import example_drivers
from janitoo_actors.api import Aggregate, Applies, Bool, Bus, Choice, Duration, Names, Option, Text
from janitoo_actors.api.schema import INDEX, NAME, Section
from janitoo_actors.configuration import loader, schema
from janitoo_actors.configuration.examination import examine
from janitoo_actors.configuration.extras import EXTRAS, how_to_install, install
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import Isolation
from janitoo_actors.configuration.registry import DriverError, Registry
from janitoo_actors.configuration.schema import SECTIONS, lookup, options_of

FILE = """\
[nut]
hadd = 1/0
location = Attic
components.one = nut.ups
[nut__one]
name = The first
"""
OPTIONS = [
    pytest.param(option, id=f"[{section.section}] {option.key}")
    for section in SECTIONS
    for option in section.options.values()
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.conf"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("section", "key", "applies", "default"),
    [
        ("system", "broker", Applies.RESTART_SERVER, "external"),
        ("system", "broker_port", Applies.RESTART_BUS, "1883"),
        ("system", "broker_password_file", Applies.RESTART_BUS, None),
        ("system", "log_format", Applies.IN_PLACE, "console"),
        ("nut", "hadd", Applies.RESTART_BUS, "asked of the network"),
        ("nut", "lease", Applies.IN_PLACE, "True without hadd, otherwise False"),
        ("nut", "name", Applies.IN_PLACE, "UPS server"),
        ("nut", "location", Applies.IN_PLACE, "Default location"),
        ("nut", "heartbeat", Applies.IN_PLACE, "30"),
        ("nut", "oid", Applies.RESTART_BUS, "nut"),
        ("nut", "components.two", Applies.RESTART_BUS, None),
        ("nut", "isolation", Applies.RESTART_BUS, Isolation.THREAD.value),
        ("nut", "port_0", Applies.IN_PLACE, "3493"),
        ("nut__one", "name", Applies.IN_PLACE, "UPS"),
        ("nut__one", "location", Applies.IN_PLACE, "Attic"),
        ("nut__one", "load_poll_0", Applies.IN_PLACE, "60"),
        ("nut__one", "load_config_2", Applies.IN_PLACE, "1, 5, 15"),
    ],
)
def test_lookup(path: Path, section: str, key: str, applies: Applies, default: str | None) -> None:
    option = lookup(load(path, example_drivers.registry()), section, key)
    assert option is not None
    assert (option.applies, option.shown_default) == (applies, default)
    assert option.help


@pytest.mark.parametrize(
    ("section", "key"),
    [("system", "hadd"), ("nut", "load_poll_0"), ("nut__one", "isolation"), ("nut__two", "hadd"), ("zigbee", "hadd")],
)
def test_lookup_of_what_is_unknown(path: Path, section: str, key: str) -> None:
    assert lookup(load(path, example_drivers.registry()), section, key) is None


def test_everything_of_a_section(path: Path) -> None:
    options = options_of(load(path, example_drivers.registry()), "nut__one")
    assert {"hadd", "config_timeout", f"device_{INDEX}", "charge_poll_0"} <= options.keys()


@pytest.mark.parametrize("option", OPTIONS)
def test_option_is_declared_as_a_whole(option: Option[Any]) -> None:
    assert option.help
    assert not option.help.endswith(".")
    assert option.type.name
    assert option.type.allowed
    if option.example:
        option.type.parse(option.example, Path("/etc"))
    if option.shown_default and not option.default_text:
        assert option.type.parse(option.shown_default, Path("/etc")) == option.default
    # Something is shown in its place by `janitoo config init`.
    assert not option.is_required or option.example
    assert (NAME in option.key) == (option.key == "components.<name>")


# -- a further section -----------------------------------------------------------------------------------------------


class Gateway(Section):
    """A section as another part of the server declares it."""

    section = "gateway"
    help = "Its part in the network"
    is_primary = Option(Bool(), default=False, help="Whether it keeps the map", applies=Applies.RESTART_SERVER)
    is_secondary = Option(Bool(), default=False, help="Whether it helps", applies=Applies.RESTART_SERVER)
    resolv_timeout = Option(Duration(positive=True), default=5, help="How long to wait")
    extensions = Option(Names(), default=(), help="What adds to it")
    old = Option(Text(), default="", help="Old", deprecated="the map is always kept")

    def check(self) -> Iterator[tuple[str, str]]:
        """Not both roles."""
        if self.is_primary and self.is_secondary:
            yield "is_secondary", "expected one of the two roles"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """The section is declared."""
    monkeypatch.setattr(loader, "OTHER_SECTIONS", (Gateway,))
    monkeypatch.setattr(loader, "_RESERVED", frozenset({*loader._RESERVED, Gateway.section}))
    monkeypatch.setattr(schema, "SERVER_SECTIONS", (*schema.SERVER_SECTIONS, Gateway))


@pytest.mark.usefixtures("gateway")
def test_further_section_is_read(path: Path) -> None:
    path.write_text(f"{FILE}[gateway]\nis_primary = yes\nextensions = a, b\nis_secondry = no\nold = x\n")
    config = load(path, example_drivers.registry())
    section = config.section(Gateway)
    assert section is not None
    assert (section.is_primary, section.is_secondary, section.resolv_timeout) == (True, False, 5)
    assert section.extensions == ("a", "b")
    assert section.given == {"is_primary", "extensions", "is_secondry", "old"}
    assert [each.expected for each in config.warnings] == [
        "nothing reads this key; did you mean 'is_secondary'?",
        "nothing reads this key of original servers: the map is always kept",
    ]
    option = lookup(config, "gateway", "resolv_timeout")
    assert option is not None
    assert option.shown_default == "5"


@pytest.mark.usefixtures("gateway")
def test_further_section_that_is_not_there(path: Path) -> None:
    assert load(path, example_drivers.registry()).section(Gateway) is None


@pytest.mark.usefixtures("gateway")
def test_further_section_is_checked(path: Path) -> None:
    path.write_text(f"{FILE}[gateway]\nis_primary = yes\nis_secondary = yes\nresolv_timeout = 0\n")
    config = load(path, example_drivers.registry())
    # The buses run without it.
    assert (config.section(Gateway), len(config.buses)) == (None, 1)
    assert [str(each).removeprefix(f"{path}:") for each in config.problems] == [
        "9: [gateway] is_secondary = 'yes': expected one of the two roles",
        "10: [gateway] resolv_timeout = '0': expected a number of seconds, more than 0",
    ]


# -- what drivers declare --------------------------------------------------------------------------------------------


class Clash(Bus):
    """A bus with a key that every node has."""

    oid = "clash"
    place = Option(Text(), key="location", default="", help="Where")


class Needy(Bus):
    """A bus whose libraries are not installed."""

    oid = "nut"
    requires = ("json", "no_such_library.part")
    mode = Option(Choice(Isolation), default=Isolation.THREAD, help="How")


def test_driver_that_declares_what_every_node_has(path: Path) -> None:
    path.write_text("[clash]\nhadd = 1/0\n")
    config = load(path, Registry({"clash": Clash}, {}))
    assert [each.expected for each in config.problems] == ["the driver Clash declares location, which every node has"]


class Sleepy(Bus):
    """A bus with a key that other buses had in original files."""

    oid = "sleepy"
    loop_sleep = Option(Duration(), default=1, help="How long it sleeps")


def test_driver_may_declare_a_key_of_original_files(path: Path) -> None:
    path.write_text("[sleepy]\nhadd = 1/0\nloop_sleep = 2\n")
    config = load(path, Registry({"sleepy": Sleepy}, {}))
    assert config.problems == config.warnings == ()
    [bus] = config.buses
    assert Sleepy("sleepy", bus.node.options).loop_sleep == 2


def test_library_that_is_not_installed(path: Path) -> None:
    path.write_text("[nut]\nhadd = 1/0\nmode = process\n")
    report = examine(path, Registry({"nut": Needy}, {}))
    assert [each.problem.expected for each in report.findings] == [
        f"nut needs the library no_such_library.part, which is not installed: {install('nut')}"
    ]
    assert (report.exit_code, report.buses) == (1, ())


class NeedyPart(Bus):
    oid = "rpi1wire"
    requires = ("no_such_library",)


class NeedyRoom(Aggregate):
    oid = "room"
    parts = (NeedyPart,)


def test_library_of_a_part_that_is_not_installed(path: Path) -> None:
    path.write_text("[room]\nhadd = 1/0\n")
    report = examine(path, Registry({"room": NeedyRoom}, {}))
    assert [each.problem.expected for each in report.findings] == [
        f"room needs the library no_such_library, which is not installed: {install('rpi1wire')}"
    ]


def test_what_to_install_names_the_pip_that_is_not_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "prefix", "/opt/janitoo/venv")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert how_to_install("nut.ups") == "/opt/janitoo/venv/bin/pip install 'janitoo-actors[nut]'"
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/janitoo/venv")
    assert how_to_install("nut.ups") == "pip install 'janitoo-actors[nut]'"
    monkeypatch.delenv("VIRTUAL_ENV")
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert how_to_install("nut.ups") == "pip install 'janitoo-actors[nut]'"


@pytest.mark.parametrize("oid", [*EXTRAS, "nut.ups", "rpii2c.bme280"])
def test_bus_that_is_not_installed_says_which_extra_brings_it(oid: str) -> None:
    registry = Registry({"hostsensor": Bus}, {})
    with pytest.raises(DriverError) as failure:
        registry.component(oid)
    assert str(failure.value) == f"no component {oid!r} is installed: {how_to_install(oid)}"


def test_component_of_a_bus_that_is_installed_is_misspelt() -> None:
    with pytest.raises(DriverError, match=r"did you mean 'nut\.ups'"):
        example_drivers.registry().component("nut.upss")

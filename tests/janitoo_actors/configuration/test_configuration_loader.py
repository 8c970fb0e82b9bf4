"""Reading a server's configuration file: buses, components, addresses, and what can be wrong with them."""

from __future__ import annotations

import contextlib
import cProfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import example_drivers
from example_drivers import Broken, HostBus, NutBus, Ups, Uptime
from janitoo_actors.configuration.effective import effective
from janitoo_actors.configuration.examination import examine
from janitoo_actors.configuration.ini import ConfigurationFileError, parse, read
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import BusConfig, ComponentConfig, ServerConfig
from janitoo_actors.configuration.system import read_system
from janitoo_actors.protocol.hadd import Hadd

Load = Callable[[str], ServerConfig]

NUT = """\
[nut]
auto_start = True
heartbeat = 30
config_timeout = 5
hadd = 1045/0000
components.ups1 = nut.ups
components.ups2 = nut.ups
"""

LOGGING = """\
[loggers]
keys = root,janitoo

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = DEBUG
handlers = console
qualname =

[logger_janitoo]
level = DEBUG
handlers = console
qualname = janitoo

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(asctime)s - %(levelname)-8.8s - [%(name)s] %(message)s
datefmt = %H:%M:%S
"""


@pytest.fixture(name="load_text")
def fixture_load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A function that loads a text as the file `x.conf`."""
    monkeypatch.chdir(tmp_path)
    path = Path("x.conf")

    def load_text(text: str) -> ServerConfig:
        path.write_text(text, encoding="utf-8")
        return load(path, example_drivers.registry())

    return load_text


def addresses(bus: BusConfig) -> dict[str, str]:
    return {component.key: str(component.node.hadd) for component in bus.components}


def test_the_example_of_the_tutorial(load_text: Load) -> None:
    config = load_text(NUT)
    assert config.problems == config.warnings == ()
    [bus] = config.buses
    assert (bus.section, bus.bus_class) == ("nut", NutBus)
    assert (bus.node.uuid, bus.node.hadd, bus.node.name) == ("nut", Hadd(1045, 0), "UPS server")
    assert (bus.node.location, bus.node.heartbeat, bus.node.config_timeout) == ("Default location", 30, 5)
    assert not bus.node.hadd_assigned
    one, two = bus.components
    assert (one.key, one.component_class) == ("ups1", Ups)
    assert (one.node.uuid, one.node.hadd, one.node.hadd_assigned) == ("nut__ups1", Hadd(1045, 1), True)
    assert (two.node.uuid, two.node.hadd, two.node.hadd_assigned) == ("nut__ups2", Hadd(1045, 2), True)
    assert (one.node.name, one.node.location, one.node.heartbeat) == ("UPS", "Default location", 30)
    assert one.node.config_timeout == 3


def test_file_of_an_original_server(load_text: Load) -> None:
    config = load_text(
        """\
[system]
service = jnt_tutorial
log_dir = /opt/janitoo/log
home_dir = /opt/janitoo/home
pid_dir = /opt/janitoo/run
conf_dir = /opt/janitoo/etc
broker_ip = 127.0.0.1
broker_port = 1883
#~ broker_user = myuser
#~ broker_password = mypassword
broker_keepalive = 60
heartbeat_timeout = 10
heartbeat_count = 3
slow_start = 0.5

[hostsensor]
auto_start = True
components.uptime = hostsensor.uptime
name = Docker sensors
location = My computer
hadd = 0121/0000
heartbeat = 60
uuid = d6b66de0-21ed-11e6-ae4d-0242ac110002

[nut]
auto_start = 1
components.ups1 = nut.ups
hadd = 0120/0000

"""
        + LOGGING
        + """
[hostsensor__uptime]
heartbeat = 60.0
name = Uptime
location = Docker
hadd = 0121/0003
uptime_poll_0 = 10
uuid = 5f1ecb1e-21ed-11e6-ae4d-0242ac110002

[nut__ups1]
name = The UPS
hadd = 0120/0001
device_0 = eaton
load_config_0 = 5
load_config_1 = 15
load_poll_0 = 20
"""
    )
    assert config.problems == ()
    assert list(map(str, config.warnings)) == [
        "x.conf:14: [system] slow_start: nothing reads this key of original servers: "
        "buses start side by side, and none waits for another"
    ]
    assert config.logging
    assert config.system.service == "jnt_tutorial"
    host, nut = config.buses
    assert (host.bus_class, host.node.name, host.node.location) == (HostBus, "Docker sensors", "My computer")
    [uptime] = host.components
    assert (uptime.node.hadd, uptime.node.name, uptime.node.location) == (Hadd(121, 3), "Uptime", "Docker")
    assert (uptime.node.heartbeat, uptime.node.hadd_assigned) == (60, False)
    assert uptime.node.options == {"uptime_poll_0": "10"}
    [ups] = nut.components
    assert ups.node.options == {
        "device_0": "eaton", "load_config_0": "5", "load_config_1": "15", "load_poll_0": "20"
    }  # fmt: skip
    assert uptime.component_class("x", uptime.node.options).poll_delay("uptime") == 10


def test_logging_is_there_with_all_of_its_sections_only(load_text: Load) -> None:
    assert not load_text(NUT + "[loggers]\nkeys = root\n").logging


def test_defaults_come_from_the_bus(load_text: Load) -> None:
    config = load_text(
        "[hostsensor]\nauto_start = yes\nhadd = 1/0\nlocation = Attic\nheartbeat = 7\nconfig_timeout = 9\n"
        "components.one = hostsensor.uptime\ncomponents.two = hostsensor.uptime\n[hostsensor__two]\nlocation =\n"
    )
    [bus] = config.buses
    one, two = bus.components
    assert (one.node.name, one.node.location, one.node.heartbeat, one.node.config_timeout) == ("one", "Attic", 7, 3)
    assert (two.node.name, two.node.location) == ("two", "")


def test_section_of_another_name_than_its_bus(load_text: Load) -> None:
    config = load_text(
        NUT + "[nut_attic]\noid = nut\nauto_start = True\nhadd = 1046/0000\ncomponents.ups = nut.ups\n"
        "[nut_attic__ups]\nname = Attic\n"
    )
    assert config.problems == config.warnings == ()
    assert [(bus.section, bus.bus_class) for bus in config.buses] == [("nut", NutBus), ("nut_attic", NutBus)]
    assert config.buses[1].components[0].node.name == "Attic"


def test_bus_whose_name_has_two_underscores(load_text: Load) -> None:
    config = load_text(
        "[my__nut]\noid = nut\nauto_start = True\nhadd = 1/0\ncomponents.a__b = nut.ups\n[my__nut__a__b]\nname = N\n"
    )
    assert config.warnings == ()
    assert [component.node.name for component in config.buses[0].components] == ["N"]


def test_options_of_the_file_s_default_section(load_text: Load) -> None:
    config = load_text("[DEFAULT]\nheartbeat = 11\nanything = x\n" + NUT.replace("heartbeat = 30\n", ""))
    assert config.warnings == ()
    assert config.buses[0].node.heartbeat == config.buses[0].components[0].node.heartbeat == 11


def test_free_addresses_are_those_that_no_component_of_the_bus_has(load_text: Load) -> None:
    config = load_text(
        "[nut]\nauto_start = True\nhadd = 12/0\n"
        + "".join(f"components.{key} = nut.ups\n" for key in "abcdef")
        + "[nut__e]\nhadd = 0012/0001\n[nut__b]\nhadd = 0012/0003\n[nut__c]\nname = C\n[nut__f]\nhadd = 0012/0009\n"
    )
    [bus] = config.buses
    assert addresses(bus) == {
        "a": "0012/0002", "b": "0012/0003", "c": "0012/0004", "d": "0012/0005", "e": "0012/0001", "f": "0012/0009"
    }  # fmt: skip
    assert [component.key for component in bus.components if component.node.hadd_assigned] == ["a", "c", "d"]


def test_more_components_than_addresses(load_text: Load) -> None:
    config = load_text(
        "[nut]\nauto_start = True\nhadd = 12/0\n" + "".join(f"components.c{n} = nut.ups\n" for n in range(10_000))
    )
    assert list(map(str, config.problems)) == [
        "x.conf:10003: [nut] components.c9999 = 'nut.ups': no address is left: expected at most 9999 nodes"
    ]


def leased(config: ServerConfig) -> dict[str, bool]:
    """Which of the buses have their addresses from a primary, and whether they lack some."""
    return {bus.section: bus.lacks_addresses for bus in (*config.buses, *config.unaddressed) if bus.leased}


def test_a_bus_without_an_address_waits_for_one_of_a_primary(load_text: Load) -> None:
    config = load_text(f"{NUT}[hostsensor]\nuuid = d6b66de0\ncomponents.up = hostsensor.uptime\n")
    assert config.problems == config.warnings == ()
    assert [bus.section for bus in config.buses] == ["nut"]
    (bus,) = config.unaddressed
    assert (bus.section, bus.identity, leased(config)) == ("hostsensor", "d6b66de0", {"hostsensor": True})
    assert bus.node.hadd_assigned
    assert bus.components[0].node.hadd_assigned


def test_one_whose_address_is_leased_is_started_at_once(load_text: Load) -> None:
    text = "[hostsensor]\nhadd = 12/0\nlease = True\ncomponents.up = hostsensor.uptime\n"
    config = load_text(f"{text}[hostsensor__up]\nhadd = 12/7\n")
    assert (config.unaddressed, leased(config)) == ((), {"hostsensor": False})
    config = load_text(text)
    # Its new component is to have an address of the primary's, and until then the next free one.
    assert (config.buses, leased(config)) == ((), {"hostsensor": True})
    assert addresses(config.unaddressed[0]) == {"up": "0012/0001"}
    assert not config.unaddressed[0].node.hadd_assigned


def test_an_address_that_stands_in_the_file_is_nobodys_lease(load_text: Load) -> None:
    assert leased(load_text(NUT)) == {}
    assert load_text(NUT).buses[0].identity is None


@pytest.mark.parametrize("text", ["False", "no", "0", "Off"])
def test_bus_that_is_not_to_start_has_no_problems(load_text: Load, text: str) -> None:
    config = load_text(
        f"{NUT}[other]\nauto_start = {text}\nhadd = 1045/0000\ncomponents.x = no.such\n[other__x]\na=1\n"
    )
    assert [bus.section for bus in config.buses] == ["nut"]
    assert config.problems == config.warnings == ()


def test_bus_without_auto_start_is_started(load_text: Load) -> None:
    config = load_text(NUT + "[hostsensor]\nhadd = 1046/0000\n")
    assert [bus.section for bus in config.buses] == ["nut", "hostsensor"]


def bus_problems(load_text: Load, text: str) -> list[str]:
    """What is wrong with the bus [nut], while a bus beside it starts."""
    config = load_text(text + "[hostsensor]\nauto_start = True\nhadd = 0999/0000\ncomponents.u = hostsensor.uptime\n")
    assert [bus.section for bus in config.buses] == ["hostsensor"]
    return list(map(str, config.problems))


def nut(*lines: str) -> str:
    return "\n".join(["[nut]", "auto_start = True", *lines, ""])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            nut("lease = False"),
            "x.conf:1: [nut] hadd: missing, with lease = False: expected the address of a bus, CCCC/0000, as 0121/0000",
        ),
        (
            nut("components.a = nut.ups", "[nut__a]", "hadd = 0012/0001"),
            "x.conf:1: [nut] hadd: missing, and [nut__a] has 0012/0001 (line 5): write the address of the bus, as "
            "hadd = 0012/0000, or remove those of its components to have all of them from a primary",
        ),
        (nut("lease = perhaps", "hadd = 1/0"), "x.conf:3: [nut] lease = 'perhaps': expected True or False"),
        (
            nut("hadd = 1045"),
            "x.conf:3: [nut] hadd = '1045': expected the address of a bus, CCCC/0000, as 0121/0000",
        ),
        (
            nut("hadd = 1045/0001"),
            "x.conf:3: [nut] hadd = '1045/0001': expected the address of a bus, which ends in 0000, as 1045/0000",
        ),
        ("[nut]\nauto_start = maybe\n", "x.conf:2: [nut] auto_start = 'maybe': expected True or False"),
        (
            nut("hadd = 1/0", "heartbeat = abc"),
            "x.conf:4: [nut] heartbeat = 'abc': expected a number of seconds, 0 to 3000",
        ),
        (
            nut("hadd = 1/0", "config_timeout = 3001"),
            "x.conf:4: [nut] config_timeout = '3001': expected a number of seconds, 0 to 3000",
        ),
        (
            nut("hadd = 1/0", "name = a", "  b"),
            "x.conf:4: [nut] name = 'a…': expected a text of one line, without control characters",
        ),
        (nut("hadd = 1/0", "port_0 = 0"), "x.conf:4: [nut] port_0 = '0': expected 1 or more"),
        (
            nut("hadd = 1/0", "key_0 = a\x07b"),
            "x.conf:4: [nut] key_0 = '***': expected a text of one line, without control characters",
        ),
        (
            nut("hadd = 1/0", "oid = nutt"),
            "x.conf:4: [nut] oid = 'nutt': no bus 'nutt' is installed; did you mean 'nut'?",
        ),
        (
            "[zigbee]\nauto_start = True\nhadd = 1/0\n",
            "x.conf:1: [zigbee]: no bus 'zigbee' is installed; installed: hostsensor, nut",
        ),
        (
            nut("hadd = 1/0", "components.ups1 = nut.upss"),
            "x.conf:4: [nut] components.ups1 = 'nut.upss': "
            "no component 'nut.upss' is installed; did you mean 'nut.ups'?",
        ),
        (
            nut("hadd = 1/0", "components. = nut.ups"),
            "x.conf:4: [nut] components. = 'nut.ups': expected a name after the dot, as components.ups1 = nut.ups",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "[nut__a]", "hadd = 0001"),
            "x.conf:6: [nut__a] hadd = '0001': expected the address of a node, CCCC/NNNN, as 0001/0001",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "[nut__a]", "hadd = 0001/0000"),
            "x.conf:6: [nut__a] hadd = '0001/0000': 0000 is the bus itself: "
            "expected the address of a node, as 0001/0001",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "[nut__a]", "hadd = 0002/0001"),
            "x.conf:6: [nut__a] hadd = '0002/0001': an address of another controller: "
            "expected 0001/NNNN, as [nut] has 0001/0000",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "components.b = nut.ups")
            + "[nut__b]\nhadd = 0001/0005\n[nut__a]\nhadd = 1/5\n",
            "x.conf:7: [nut__b] hadd = '0001/0005': [nut__a] has this address already (line 9): "
            "expected one that no other node has",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "[nut__a]", "load_poll_0 = often"),
            "x.conf:6: [nut__a] load_poll_0 = 'often': expected a number of seconds, 0 or more",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "[nut__a]", "load_config_0 = 7"),
            "x.conf:6: [nut__a] load_config_0 = '7': expected 1, 5 or 15",
        ),
        (
            nut("hadd = 1/0", "components.a = nut.ups", "[nut__a]", "load_config_1 = 5"),
            "x.conf:5: [nut__a] load_config_0: expected it to be there, as load_config_1 is",
        ),
        (
            nut("hadd = 1/0", "components.a = hostsensor.broken", "[nut__a]", "device_0 = x"),
            "x.conf:5: [nut__a]: the driver Broken failed to check these options: KeyError: 'x'",
        ),
    ],
)
def test_one_clear_error(load_text: Load, text: str, expected: str) -> None:
    assert bus_problems(load_text, text) == [expected]
    assert Broken.oid == "hostsensor.broken"


def test_everything_wrong_with_a_bus_is_named(load_text: Load) -> None:
    problems = bus_problems(
        load_text,
        nut("hadd = x", "heartbeat = -1", "components.a = nut.up", "components.b = nut.ups")
        + "[nut__b]\nhadd = y\nheartbeat = 99999\nload_poll_0 = z\n",
    )
    assert [problem.split(":")[1] for problem in problems] == ["3", "4", "5", "8", "9", "10"]


def test_two_buses_with_one_number(load_text: Load) -> None:
    config = load_text(NUT + "[hostsensor]\nauto_start = True\nhadd = 1045/0000\n")
    assert [bus.section for bus in config.buses] == ["nut"]
    assert list(map(str, config.problems)) == [
        "x.conf:10: [hostsensor] hadd = '1045/0000': the bus [nut] has this address already (line 5): "
        "expected a number that no other bus has"
    ]


def test_number_of_a_bus_that_is_wrong_otherwise_stays_its_own(load_text: Load) -> None:
    # Or the second would stop when the first is mended.
    config = load_text(NUT + "port_0 = x\n[hostsensor]\nauto_start = True\nhadd = 1045/0000\n")
    assert config.buses == ()
    assert [problem.section for problem in config.problems] == ["nut", "hostsensor"]


def test_system_errors_are_all_raised_with_those_of_the_buses(load_text: Load) -> None:
    with pytest.raises(ConfigurationFileError) as failure:
        load_text("[system]\nbroker_port = x\nmax_backoff = y\n[nut]\nhadd = x\n")
    assert [str(problem).split(": ")[1] for problem in failure.value.problems] == [
        "[system] broker_port = 'x'",
        "[system] max_backoff = 'y'",
        "[nut] hadd = 'x'",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[loggers]\nkeys = root\n"])
def test_file_without_system_and_bus(load_text: Load, text: str) -> None:
    with pytest.raises(ConfigurationFileError) as failure:
        load_text(text)
    assert str(failure.value) == ("x.conf: neither [system] nor a bus in it: expected the configuration of a server")


def test_system_without_a_bus(load_text: Load) -> None:
    assert load_text("[system]\n").buses == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[hostsensr]\nhadd = 0121/0000\n",
            "x.conf:8: [hostsensr]: nothing reads this section; did you mean 'hostsensor'?",
        ),
        ("[raspi]\nhadd = 0138/0000\n", "x.conf:8: [raspi]: nothing reads this section"),
        (
            "[nut__ups3]\nname = x\n",
            "x.conf:8: [nut__ups3]: the bus [nut] has no component 'ups3'; did you mean 'ups2'?",
        ),
        (
            "[nut__Switch]\nname = x\n",
            "x.conf:8: [nut__Switch]: the bus [nut] has no component 'Switch'; "
            "write components.switch = <oid> in [nut] to have one",
        ),
        (
            "[nut__ups1]\nload_pol_0 = 3\n",
            "x.conf:9: [nut__ups1] load_pol_0: nothing reads this option of nut.ups; did you mean 'load_poll_0'?",
        ),
        (
            "[nut__ups1]\nload_poll = 3\n",
            "x.conf:9: [nut__ups1] load_poll: nothing reads this option of nut.ups; did you mean 'load_poll_0'?",
        ),
        (
            "[nut__ups1]\nhearbeat = 3\n",
            "x.conf:9: [nut__ups1] hearbeat: nothing reads this option of nut.ups; did you mean 'heartbeat'?",
        ),
        ("[nut__ups1]\nzzz = 3\n", "x.conf:9: [nut__ups1] zzz: nothing reads this option of nut.ups"),
        (
            "autostart = True\n",
            "x.conf:8: [nut] autostart: nothing reads this option of nut; did you mean 'auto_start'?",
        ),
    ],
)
def test_warning(load_text: Load, text: str, expected: str) -> None:
    config = load_text(NUT + text)
    assert [bus.section for bus in config.buses] == ["nut"]
    assert config.problems == ()
    assert list(map(str, config.warnings)) == [expected]


@pytest.mark.parametrize("section", ["logger_x", "handler_x", "formatter_x"])
def test_sections_of_others_are_no_warnings(load_text: Load, section: str) -> None:
    assert (
        load_text(
            f"{NUT}[{section}]\nhadd = 0001/0000\nauto_start = True\nversion_locations = %(here)s/models\n"
        ).warnings
        == ()
    )


def test_thousand_components_are_loaded_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"

    def calls(count: int) -> int:
        """How many calls it takes to load so many: the work, on any machine."""
        sections = "".join(
            f"[nut__c{n}]\nhadd = 1045/{n + 1:04d}\nname = N{n}\nlocation = L\nload_config_0 = 5\nload_poll_0 = 9\n\n"
            for n in range(count)
        )
        path.write_text(nut("hadd = 1045/0000", *(f"components.c{n} = nut.ups" for n in range(count))) + sections)
        with cProfile.Profile() as profile:
            config = load(path, example_drivers.registry())
        assert len(config.buses[0].components) == count
        return sum(entry.callcount for entry in profile.getstats())

    calls(1)
    # Ten times as many are ten times the work, and not a hundred times.
    assert calls(1000) < 15 * calls(100)


KEYS = st.sampled_from(
    [
        "auto_start",
        "hadd",
        "name",
        "heartbeat",
        "oid",
        "components.a",
        "components.b",
        "load_poll_0",
        "load_config_1",
        "x",
    ]
)
VALUES = st.sampled_from(
    [
        "True",
        "False",
        "nut",
        "nut.ups",
        "hostsensor.uptime",
        "0001/0000",
        "0001/0001",
        "0001/0002",
        "3",
        "-1",
        "nan",
        "",
    ]
) | st.text(max_size=8).map(lambda text: " ".join(text.split()))
NAMES = st.sampled_from(["system", "nut", "hostsensor", "nut__a", "nut__b", "hostsensor__a", "x", "x__a", "DEFAULT"])
SYSTEM = read_system(parse(b"", Path("x.conf")), [], [])
FILES = st.dictionaries(NAMES, st.dictionaries(KEYS, VALUES, max_size=8), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES)
def test_any_file_is_loaded_or_an_error(load_text: Load, file: dict[str, dict[str, str]]) -> None:
    text = "".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for section, options in file.items()
    )
    try:
        config = load_text(text)
    except ConfigurationFileError as error:
        config = ServerConfig(Path(), parse(b"", Path()), SYSTEM, (), error.problems)
    except UnicodeEncodeError:
        # No file can hold it.
        reject()
    else:
        # Whatever starts can be shown.
        assert all(keys for _, keys in effective(config, read(Path("x.conf"))))
    report = examine(Path("x.conf"), example_drivers.registry())
    assert (report.config is None) == config.is_idle
    assert all(str(problem).isprintable() for problem in (*config.problems, *config.warnings))
    nodes = [node for bus in config.buses for node in (bus.node, *(each.node for each in bus.components))]
    assert len({node.hadd for node in nodes}) == len(nodes)
    for bus in config.buses:
        assert bus.node.hadd.is_controller
        for component in bus.components:
            assert isinstance(component, ComponentConfig)
            assert component.node.hadd.controller == bus.node.hadd.controller
            assert component.component_class in {Ups, Uptime}
            component.component_class(component.node.uuid, component.node.options)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.sampled_from("[]=:\n ab#%_/0.")))
def test_any_text_is_loaded_or_an_error(load_text: Load, text: str) -> None:
    # Any other exception fails the test.
    with contextlib.suppress(ConfigurationFileError):
        load_text(text)

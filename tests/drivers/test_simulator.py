"""The simulator: every driver by its declarations alone; its data, its faults, and what a server makes of them."""

from __future__ import annotations

import math
import pickle
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from brokers import Mosquitto
from drivers.dht import Dht
from drivers.gpio import Led, Output
from drivers.nut import Ups
from drivers.tutorial import TutorialBus
from janitoo_actors.api import (
    BusLostError,
    Component,
    ManualRuntime,
    OptionsError,
    Setting,
    TemporaryError,
    Value,
)
from janitoo_actors.configuration.examination import examine
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.entries import standard_entries
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.simulation import simulated
from janitoo_actors.simulation.faults import Fault, RatesType
from janitoo_actors.simulation.scripts import read_script
from janitoo_actors.simulation.sources import SourceType
from mqtt_probe import Message, Probe
from onewire_tree import OneWireTree
from resilience import events
from running_server import TIMEOUT, Requester, running, system_section, wait_heartbeats
from waiting import wait_for

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
REGISTRY = Registry.installed()
ATTIC = "0771/0001"
OFFLINE_ON = (f"/dhcp/heartbeat/{ATTIC}", "/dhcp/heartbeat/")


# -- by themselves -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("oid", REGISTRY.component_oids)
def test_every_component_is_simulated_by_its_declarations(oid: str) -> None:
    made = simulated(REGISTRY.component(oid))
    # What must be there in its section must be there for the simulator too.
    device = made("node", {key: "0x20" for key, option in made.options.items() if option.is_required})
    device.bus = simulated(REGISTRY.bus(oid.partition(".")[0]))()
    assert (list(device.takes()), device.requires) == ([], ())
    device.open()
    for uuid, value in device.values.items():
        for instance in device.instances(uuid) if not isinstance(value, Setting) else ():
            for _ in range(20):
                if value.read_by is not None:
                    data = device.read(uuid, instance.index)
                    assert value.coerce(data) == data
    device.close()


@pytest.mark.parametrize("entry", [name for name in standard_entries() if not name.startswith("config_")])
def test_every_standard_entry_has_likely_data(entry: str) -> None:
    class Any_(Component):
        oid = "any"
        value = Value(entry, help="A value", poll_delay=60)

        @value.reader
        def read_value(self, _instance: object) -> None:
            raise AssertionError("simulated")

    device = simulated(Any_)()
    for _ in range(20):
        assert device.read("value") is not None


def test_the_same_seed_gives_the_same_data() -> None:
    def data(seed: str) -> list[Any]:
        device = simulated(Dht)("node", {"simulate_seed": seed, "simulate_faults": "null 0.5"})
        return [device.read("temperature") for _ in range(20)]

    assert data("7") == data("7") != data("8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("always 21.5", [21.5] * 4),
        ("cycle 1 2 3", [1, 2, 3, 1]),
        ("random 20 20", [20] * 4),
        ("walk 20 20 1", [20] * 4),
        ("sine 20 20 60", [20] * 4),
    ],
)
def test_where_data_come_from(text: str, expected: list[float]) -> None:
    device = simulated(Dht)("node", {"simulate_temperature": text, "temperature_step": ""})
    assert [device.read("temperature") for _ in expected] == expected


def test_texts_with_spaces() -> None:
    device = simulated(Ups)("node", {"simulate_status": 'cycle OL "OB DISCHRG"'})
    assert [device.read("status") for _ in range(3)] == ["OL", "OB DISCHRG", "OL"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"simulate_temperature": "radom 1 2"}, "simulate_temperature = radom 1 2: expected random LOW HIGH, walk LOW"),
        ({"simulate_temperature": "random 1"}, "expected random LOW HIGH"),
        ({"simulate_temperature": "random 2 1"}, "expected LOW not above HIGH"),
        ({"simulate_temperature": "walk 1 2 0"}, "expected LOW not above HIGH, and what follows above 0"),
        ({"simulate_temperature": "always warm"}, "simulate_temperature = always warm: expected a number"),
        ({"simulate_temperature": 'always "'}, "expected random LOW HIGH"),
        ({"simulate_temperature": ""}, "expected random LOW HIGH"),
        ({"simulate_temperature": "sine nan 2 3"}, "expected LOW not above HIGH"),
        ({"simulate_faults": "eror 0.1"}, "simulate_faults = eror 0.1: expected faults with rates from 0 to 1"),
        ({"simulate_faults": "error 0.6, hang 0.6"}, "together not above 1"),
        ({"simulate_faults": "error -1"}, "expected faults"),
        ({"simulate_faults": "error 0.1, error 0.1"}, "expected faults"),
    ],
)
def test_wrong_options(options: dict[str, str], expected: str) -> None:
    with pytest.raises(OptionsError) as caught:
        simulated(Dht)("node", options)
    assert expected in str(caught.value)


def outcome(parse: Callable[[str], T], text: str) -> tuple[T | None, str]:
    """What a text is read as, or why it is refused."""
    try:
        return parse(text), ""
    except ValueError as error:
        return None, str(error)


@given(st.text(max_size=40) | st.from_regex(r"(random|walk|cycle|held) [0-9. -]{0,20}", fullmatch=True))
def test_any_text_is_a_source_or_refused(text: str) -> None:
    kind = SourceType(Dht.values["temperature"])
    source, error = outcome(kind.parse, text)
    assert error.startswith("expected") if source is None else kind.parse(source.text) == source


@given(st.text(max_size=60))
def test_any_text_is_a_script_or_refused(text: str) -> None:
    read, error = outcome(lambda given: read_script(given, "script"), text)
    assert "at script:" in error if read is None else [each.at for each in read] == sorted(each.at for each in read)


@given(st.dictionaries(st.sampled_from(list(Fault)), st.floats(0, 0.125, width=16)))
def test_rates_are_written_as_they_are_read(rates: dict[Fault, float]) -> None:
    text = ", ".join(f"{fault} {rate:g}" for fault, rate in rates.items())
    assert RatesType().text(RatesType().parse(text)) == text


def test_actuators_hold_what_is_written() -> None:
    output, led = simulated(Output)(), simulated(Led)()
    assert (output.read("switch"), led.read("switch")) == ("off", "off")
    output.write("switch", "on")
    led.write("switch", "blink")
    assert (output.read("switch"), led.read("switch")) == ("on", "blink")
    led.change_setting("frequency", 5)
    with pytest.raises(ValueError, match="expected one of on, off"):
        output.write("switch", "dim")


def faulty(faults: str, **options: str) -> Ups:
    return simulated(Ups)("node", {"simulate_faults": faults, "simulate_hang": "0.01", **options})


def test_faults() -> None:
    with pytest.raises(TemporaryError, match="simulated: no answer"):
        faulty("error 1").read("load")
    with pytest.raises(BusLostError, match="simulated: the bus is gone"):
        faulty("lost 1").read("load")
    with pytest.raises(TemporaryError, match="simulated: it has hung"):
        faulty("hang 1").read("load")
    assert faulty("null 1").read("load") is None
    assert math.isnan(faulty("nan 1").read("load"))
    assert not 0 <= faulty("absurd 1").read("load") <= 100
    assert 20 <= faulty("late 1").read("load") <= 80
    assert 20 <= faulty("").read("load") <= 80


def test_faults_come_at_their_rate() -> None:
    device = faulty("null 0.25", simulate_seed="1")
    none = sum(device.read("load") is None for _ in range(2000))
    assert 400 < none < 600


def test_filters_see_simulated_data() -> None:
    device = simulated(Dht)("node", {"simulate_faults": "absurd 1"})
    with pytest.raises(TemporaryError, match="cannot be: expected -40 or more, 80 or less"):
        device.read("temperature")


def test_a_script(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(
        "# seconds, value, data\n0 load 10\n1000 load error the UPS is gone\n1000 status OB LB\n2000 * normal\n",
        encoding="utf-8",
    )
    device = simulated(Ups)("node", {"simulate_script": str(script)})
    device.runtime = ManualRuntime()
    device.open()
    assert device.read("load") == 10
    assert device.read("status") == "simulated"
    device.runtime.advance(999)
    assert device.runtime.changes == []
    device.runtime.advance(2)
    assert device.runtime.changes == [("node", "load"), ("node", "status")]
    # Each is told of, also where the bus was busy in between.
    device.runtime.advance(5000)
    assert ("node", "battery_charge") in device.runtime.changes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("soon load 1", "expected SECONDS VALUE DATA, as 10 temperature 21.5, at {script}:1"),
        ("9999999999 load 1", "expected SECONDS VALUE DATA, as 10 temperature 21.5, at {script}:1"),
        ("\n1 laod 1", "expected one of allowed, battery_charge, "),
        ("\n1 laod 1", ", * at {script}:2, not laod"),
        ("1 load much", "expected a number at {script}:1, not load much"),
        ("1 * 5", "expected a fault, or normal, for all values at {script}:1, not 5"),
        (None, "expected a script that can be read: {script}: No such file or directory"),
    ],
)
def test_wrong_scripts_are_refused_when_the_file_is_read(tmp_path: Path, text: str | None, expected: str) -> None:
    # Beside the file, wherever the server is started.
    script = tmp_path / "evening.txt"
    if text is not None:
        script.write_text(text, encoding="utf-8")
    path = tmp_path / "server.conf"
    path.write_text(
        "[nut]\nhadd = 0771/0000\nsimulate = True\ncomponents.ups = nut.ups\n"
        "[nut__ups]\nsimulate_script = evening.txt\n",
        encoding="utf-8",
    )
    said = str(load(path, REGISTRY).problems[0])
    assert said.startswith(f"{path}:6: [nut__ups] simulate_script = 'evening.txt': expected ")
    assert expected.format(script=script) in said


def test_a_script_that_is_edited_begins_anew(tmp_path: Path) -> None:
    script = tmp_path / "script"

    def is_lost(text: str) -> bool:
        script.write_text(text, encoding="utf-8")
        device = simulated(Ups)("edited", {"simulate_script": str(script)})
        device.open()
        try:
            device.read("load")
        except BusLostError:
            return True
        return False

    # It is lost once, and not again with the next incarnation of its bus.
    assert [is_lost("0 load lost"), is_lost("0 load lost"), is_lost("0 load lost anew")] == [True, False, True]


def test_a_simulated_class_goes_to_another_process() -> None:
    made = simulated(Ups)
    assert made is simulated(Ups) is simulated(made)
    assert pickle.loads(pickle.dumps(made)) is made


# -- on a server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def air(broker: Mosquitto) -> Iterator[Requester]:
    with Probe(broker.host, broker.port) as probe:
        yield Requester(probe, "9995/0001")


def configuration(tmp_path: Path, broker: Mosquitto, *lines: str, bus: str = "", **system: object) -> Path:
    """A bus with an attic, as the lines say, and a cellar that nothing happens to."""
    path = tmp_path / "server.conf"
    options = {"service": "simulated", "max_backoff": 0.1, "read_timeout": 5, **system}
    text = system_section(broker, *(f"{key} = {each}" for key, each in options.items()))
    bus_lines = ["[rpi1wire]", "simulate = True", "hadd = 0771/0000", "components.attic = rpi1wire.ds18b20", bus]
    attic = ["[rpi1wire__attic]", f"hadd = {ATTIC}", "temperature_poll_0 = 0.05", "temperature_retries = 0", *lines]
    others = ["[rpibasic]", "simulate = True", "hadd = 0772/0000", "components.cellar = rpibasic.dht"]
    others += ["[rpibasic__cellar]", "hadd = 0772/0001", "temperature_poll_0 = 0.05"]
    path.write_text("\n".join([text, *bus_lines, *attic, *others, ""]), encoding="utf-8")
    return path


def wait_temperature(air: Requester, data: Any, *, hadd: str = ATTIC, since: int = 0) -> None:
    def published(message: Message) -> bool:
        return message.topic == f"/values/basic/{hadd}/temperature" and message.value["data"] == data

    air.probe.wait_message(published, TIMEOUT, since=since)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("error the cable is cut", "temperature: the cable is cut"),
        ("absurd", "temperature: "),
        ("nan", "temperature: nan cannot be: expected -270 or more, 1372 or less (temperature_min, temperature_max)"),
    ],
)
def test_a_fault_at_a_time_and_the_recovery(
    broker: Mosquitto, air: Requester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, line: str, reason: str
) -> None:
    # The script's own time: on a busy machine, a fault that passes by itself may be over before it is read.
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("janitoo_actors.simulation.devices.time", SimpleNamespace(monotonic=lambda: clock.now))
    script = tmp_path / "script"
    script.write_text(f"0 temperature 20\n100 temperature {line}\n200 temperature 22\n", encoding="utf-8")
    path = configuration(tmp_path, broker, f"simulate_script = {script}")
    with capture_logs() as log, running(path, REGISTRY):
        wait_temperature(air, 20)
        clock.now += 100
        wait_temperature(air, None)
        wait_heartbeats(air.probe, [ATTIC], NodeState.OFFLINE)
        clock.now += 100
        since = len(air.probe.messages)
        # The others go on; recovery needs no hand.
        wait_temperature(air, 22, since=since)
        wait_heartbeats(air.probe, [ATTIC], NodeState.ONLINE, since=since)
        assert any(each["reason"].startswith(reason) for each in events(log, "node_offline"))
        assert not any(each["hadd"].startswith("0772") for each in events(log, "node_offline"))


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize("fault", ["hang", "lost"])
def test_a_fault_that_ends_the_bus(
    broker: Mosquitto, air: Requester, tmp_path: Path, fault: str, isolation: str
) -> None:
    script = tmp_path / "script"
    script.write_text(f"0 temperature 20\n1 temperature {fault}\n", encoding="utf-8")
    own = (f"simulate_script = {script}", "simulate_hang = 20")
    path = configuration(tmp_path, broker, *own, bus=f"isolation = {isolation}", read_timeout=1)
    with running(path, REGISTRY, online=False) as server:
        before = wait_for(lambda: server.incarnations("rpi1wire").get("/buses/rpi1wire/bus"), TIMEOUT, "it runs")
        wait_temperature(air, 20)
        # Of a process that is killed, its last will says so, for all of its nodes.
        air.probe.wait_message(lambda each: each.topic in OFFLINE_ON and b"OFFLINE" in each.payload, TIMEOUT)

        def again() -> bool:
            now = server.incarnations("rpi1wire").get("/buses/rpi1wire/bus")
            return now is not None and now != before

        wait_for(again, TIMEOUT, "the bus is another one")
        since = len(air.probe.messages)
        # Each process begins with the script anew, and so with what ends it; in the server's, that was once.
        wait_temperature(air, 20, since=since)
        server.wait_online("0772/0001", *([ATTIC] if isolation == "thread" else []))


def test_random_faults_leave_the_server_running(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    faults = "simulate_faults = error 0.2, lost 0.1, nan 0.1, absurd 0.1, null 0.1"
    with running(configuration(tmp_path, broker, faults), REGISTRY, online=False):
        topic = f"/values/basic/{ATTIC}/temperature"
        wait_for(lambda: sum(each.topic == topic for each in air.probe.messages) > 20, TIMEOUT, "values go on")
        data = [each.value["data"] for each in air.probe.messages if each.topic == topic]
        assert None in data
        assert all(each is None or 15 <= each <= 25 for each in data)


def test_the_options_of_the_simulator_are_checked_and_only_read_where_it_is_on(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = configuration(tmp_path, broker, "simulate_temperature = radom 1 2")
    (problem,) = load(path, REGISTRY).problems
    assert "[rpi1wire__attic] simulate_temperature = 'radom 1 2': expected random LOW HIGH" in str(problem)
    path.write_text(path.read_text(encoding="utf-8").replace("simulate = True", "simulate = False"), encoding="utf-8")
    config = load(path, REGISTRY)
    assert config.problems == ()
    assert "nothing reads this option of rpi1wire.ds18b20" in str(config.warnings[0])


def test_the_load_test_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs/simulator.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True, timeout=TIMEOUT)
    config = load(tmp_path / "load.conf", REGISTRY)
    assert (config.problems, config.warnings) == ((), ())
    assert [len(bus.components) for bus in config.buses] == [10] * 100
    assert all(bus.simulate and bus.components[9].node.options["temperature_poll_0"] == "5" for bus in config.buses)


def test_every_bus_of_ours_is_in_the_house() -> None:
    config = load(ROOT / "conf/simulated.conf", REGISTRY)
    assert {bus.section for bus in config.buses} == {*REGISTRY.bus_oids} - {TutorialBus.oid}
    assert all(bus.simulate for bus in config.buses)


def test_what_is_simulated_is_not_looked_for(broker: Mosquitto, tmp_path: Path) -> None:
    report = examine(configuration(tmp_path, broker), REGISTRY)
    assert (report.errors, report.buses) == (0, ("rpi1wire", "rpibasic"))


def test_a_switch_is_written_over_the_air(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    lines = ["[rpigpio]", "simulate = True", "hadd = 0773/0000", "components.pump = rpigpio.output"]
    path.write_text("\n".join([system_section(broker, "service = simulated"), *lines, ""]), encoding="utf-8")
    with running(path, REGISTRY):
        assert air.write("0773/0001", "switch", "on", Genre.USER, 0x25)["data"] == "on"
        assert air.read("0773/0001", "switch", Genre.USER, 0x25)["data"] == "on"


def test_a_running_server_goes_from_the_simulator_to_the_device(
    broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    tree = OneWireTree(tmp_path / "w1")
    tree.plug("28-00000588806a", 12.5)
    own = f"rpi1wire_sensors_dir_0 = {tree.folder}"
    path = configuration(tmp_path, broker, "simulate_temperature = always 20", bus=own)
    with running(path, REGISTRY) as server:
        wait_temperature(air, 20)
        other = server.incarnations("rpibasic")
        for old, new, data in (("True", "False", 12.5), ("False", "True", 20)):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(f"simulate = {old}", f"simulate = {new}", 1), encoding="utf-8")
            since = len(air.probe.messages)
            done = server.server.reload("the test")
            assert done is not None
            wait_temperature(air, data, since=since)
        assert server.incarnations("rpibasic") == other

"""The bus of the tutorial: components of four buses on one, with a state machine; by itself, and on a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from drivers.dht import BasicBus, Dht
from drivers.gpio import GpioBus, Led
from drivers.hostsensor import PiCpu
from drivers.onewire import Ds18b20, OneWireBus
from drivers.tutorial import TutorialBus
from janitoo_actors.api import Component, ManualRuntime, TemporaryError
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.simulation import simulated
from mqtt_probe import Message, Probe
from onewire_tree import OneWireTree
from pi_gpio import Pins, plugged
from resilience import events
from running_server import TIMEOUT, Requester, running, system_section, wait_heartbeats
from waiting import wait_for

ROOT = Path(__file__).parents[2]
REGISTRY = Registry.installed()
BUS, AMBIANCE, TEMPERATURE, CPU, LED = (f"0225/000{number}" for number in range(5))


# -- by itself ---------------------------------------------------------------------------------------------------------


class Tutorial:
    """The bus with its components, simulated, as the runtime would have it."""

    def __init__(self, **options: str) -> None:
        self.runtime = ManualRuntime()
        self.bus = simulated(TutorialBus)("tutorial3", options)
        self.bus.attach(None, self.runtime)
        kinds: Mapping[str, type[Component]] = {"ambiance": Dht, "temperature": Ds18b20, "cpu": PiCpu, "led": Led}
        for key, kind in kinds.items():
            component = simulated(kind)(key)
            component.bus = self.bus.bus_for(component)
            component.attach(None, self.runtime)
            self.bus.components[key] = component
        self.bus.open_all()
        for component in self.bus.components.values():
            self.bus.open_component(component)
        self.bus.started()

    def hear(self, **temperatures: float | None) -> None:
        """Have components measure these."""
        for key, data in temperatures.items():
            self.bus.heard(self.bus.components[key], "temperature", (data,))

    @property
    def shows(self) -> tuple[str, str]:
        """The state, and the LED."""
        return self.bus.read("state"), self.bus.components["led"].read("switch")


def test_it_rings_where_the_average_is_too_high_and_calms_down() -> None:
    tutorial = Tutorial()
    assert (tutorial.shows, tutorial.bus.read("average")) == (("reporting", "on"), None)
    tutorial.hear(ambiance=20, temperature=30, cpu=70)
    assert (tutorial.shows, tutorial.bus.read("average")) == (("reporting", "on"), 40)
    tutorial.hear(cpu=85)
    assert tutorial.shows == ("ringing", "blink")
    tutorial.hear(cpu=82)
    # Not below the hysteresis yet.
    assert (tutorial.shows, tutorial.bus.read("average")) == (("ringing", "blink"), 44)
    tutorial.hear(cpu=70)
    assert tutorial.shows == ("reporting", "on")
    assert ("tutorial3", "average") in tutorial.runtime.changes
    assert ("led", "switch") in tutorial.runtime.changes


def test_what_cannot_be_read_does_not_count() -> None:
    tutorial = Tutorial()
    tutorial.hear(ambiance=20, temperature=30, cpu=90)
    assert tutorial.shows == ("ringing", "blink")
    tutorial.hear(cpu=None)
    assert (tutorial.shows, tutorial.bus.read("average")) == (("reporting", "on"), 25)
    tutorial.hear(ambiance=float("nan"), temperature=None)
    assert (tutorial.shows, tutorial.bus.read("average")) == (("reporting", "on"), None)


def test_each_state_polls_in_its_own_way() -> None:
    tutorial = Tutorial(critical_0="30")
    assert tutorial.runtime.delays == {}
    tutorial.bus.sleep()
    assert tutorial.shows == ("sleeping", "off")
    assert set(tutorial.runtime.delays.values()) == {0}
    assert ("ambiance", "humidity") in tutorial.runtime.delays
    tutorial.bus.wake()
    assert (tutorial.shows, tutorial.runtime.delays) == (("reporting", "on"), {})
    tutorial.hear(cpu=40)
    assert (tutorial.shows, set(tutorial.runtime.delays.values())) == (("ringing", "blink"), {5})


def test_a_reading_that_was_on_its_way_when_it_fell_asleep_does_not_count() -> None:
    tutorial = Tutorial()
    tutorial.bus.sleep()
    tutorial.hear(cpu=90)
    assert tutorial.bus.read("average") is None
    tutorial.bus.wake()
    tutorial.hear(ambiance=20)
    assert (tutorial.shows, tutorial.bus.read("average")) == (("reporting", "on"), 20)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("wake_after_0", "expected 1 or more"),
        ("hysteresis_0", "expected 0 or more"),
        ("critical_0", "expected a number"),
    ],
)
def test_settings_that_make_no_sense(option: str, expected: str) -> None:
    text = "hot" if option == "critical_0" else "-1"
    assert [(each.key, f"expected {each.expected}") for each in TutorialBus.check_options({option: text})] == [
        (option, expected)
    ]


def test_it_wakes_by_itself() -> None:
    tutorial = Tutorial(wake_after_0="60")
    tutorial.bus.write("transition", "sleep")
    tutorial.runtime.advance(59)
    assert tutorial.shows[0] == "sleeping"
    tutorial.runtime.advance(2)
    assert tutorial.shows[0] == "reporting"


def test_a_transition_that_does_not_begin_here() -> None:
    tutorial = Tutorial()
    assert tutorial.bus.wake() is False
    with pytest.raises(ValueError, match="expected one of sleep, ring, as it is reporting"):
        tutorial.bus.write("transition", "calm")
    with pytest.raises(ValueError, match="expected one of wake, sleep, ring, calm"):
        tutorial.bus.write("transition", "explode")


def test_a_led_that_fails_keeps_it_from_nothing() -> None:
    tutorial = Tutorial()
    led = tutorial.bus.components["led"]

    def fail(_uuid: str, _data: object, _index: int = 0) -> None:
        raise TemporaryError("the LED is unplugged")

    led.write = fail  # type: ignore[method-assign,assignment]
    with capture_logs() as log:
        tutorial.hear(cpu=90)
    assert tutorial.bus.read("state") == "ringing"
    assert events(log, "state_method_failed")[0]["error"] == "the LED is unplugged"


def test_components_find_their_own_buses() -> None:
    bus = TutorialBus(options={"rpi1wire_sensors_dir_0": "/sys/other", "boardmode_0": "BOARD"})
    found = {kind: bus.bus_for(kind()) for kind in (Dht, Ds18b20, PiCpu, Led)}
    assert isinstance(found[Dht], BasicBus)
    assert isinstance(found[Ds18b20], OneWireBus)
    assert found[Ds18b20].setting("rpi1wire_sensors_dir") == "/sys/other"
    assert found[PiCpu] is bus
    assert isinstance(found[Led], GpioBus)
    assert bus.part(GpioBus).bcm(11) == 17
    assert [hardware.file for hardware in bus.takes_all()] == [Path("/sys/other")]
    assert {"w1thermsensor", "RPi.GPIO"} <= set(TutorialBus.requires)


# -- on a server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def air(broker: Mosquitto) -> Iterator[Requester]:
    with Probe(broker.host, broker.port) as probe:
        yield Requester(probe, "9994/0001")


def configuration(tmp_path: Path, broker: Mosquitto, *, simulate: bool = True, **replaced: object) -> Path:
    """conf/tutorial.conf on the broker of the tests, with other data in some lines."""
    _, _, buses = (ROOT / "conf/tutorial.conf").read_text(encoding="utf-8").partition("\n[tutorial3]\n")
    lines = [line for line in buses.splitlines() if simulate or not line.startswith("simulate")]
    for key, data in replaced.items():
        assert any(line.startswith(f"{key} = ") for line in lines), key
        lines = [f"{key} = {data}" if line.startswith(f"{key} = ") else line for line in lines]
    path = tmp_path / "tutorial.conf"
    system = system_section(broker, "service = tutorial", "max_backoff = 0.2", "read_timeout = 5")
    path.write_text("\n".join([system, "[tutorial3]", *lines, ""]), encoding="utf-8")
    return path


def wait_data(air: Requester, topic: str, data: Any, *, since: int = 0) -> None:
    def published(message: Message) -> bool:
        return message.topic == f"/values/{topic}" and message.value["data"] == data

    air.probe.wait_message(published, TIMEOUT, since=since)


def test_it_is_on_the_network_as_in_the_tutorial(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configuration(tmp_path, broker), REGISTRY):
        nodes = air.discover("nodes", BUS)
        told = ("name", "location", "product_type")
        assert {each["hadd"]: (uuid, *map(each.get, told)) for uuid, each in nodes.items()} == {
            BUS: ("tutorial3", "Hello world", "Raspberry", "Default product type"),
            AMBIANCE: ("tutorial3__ambiance", "Ambiance 1", "DHT", "Temperature/humidity sensor"),
            TEMPERATURE: ("tutorial3__temperature", "Temperature", "Onewire", "Temperature sensor"),
            CPU: ("tutorial3__cpu", "CPU", "Hostsensor", "Software component"),
            LED: ("tutorial3__led", "Led", "GPIO", "Software"),
        }


def is_temperature(hadd: str, message: Message) -> bool:
    return message.topic.endswith(f"/{hadd}/temperature")


def test_its_state_is_seen_and_commanded_over_the_network(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configuration(tmp_path, broker), REGISTRY):
        wait_data(air, f"basic/{BUS}/state", "reporting")
        since = len(air.probe.messages)
        air.write(BUS, "transition", "sleep", Genre.COMMAND, 0x10B0)
        wait_data(air, f"basic/{BUS}/state", "sleeping", since=since)
        wait_data(air, f"user/{LED}/switch", "off", since=since)
        refused = air.write(BUS, "transition", "calm", Genre.COMMAND, 0x10B0)
        assert "expected one of wake, as it is sleeping" in str(refused)
        since = len(air.probe.messages)
        air.write(BUS, "transition", "wake", Genre.COMMAND, 0x10B0)
        wait_data(air, f"basic/{BUS}/state", "reporting", since=since)
        # What was not measured meanwhile is measured at once.
        for hadd in (AMBIANCE, TEMPERATURE, CPU):
            air.probe.wait_message(partial(is_temperature, hadd), TIMEOUT, since=since)


class House:
    """What there is of sensors, none of them simulated: the files of the kernel, and pins."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.onewire = OneWireTree(folder / "w1")
        self.onewire.plug("28-00000588806a", 20)
        self._dht = folder / "iio" / "iio:device0"
        self._zone = folder / "sysfs" / "class/thermal/thermal_zone0"
        for path in (self._dht, self._zone):
            path.mkdir(parents=True)
        (self._dht / "name").write_text("dht11@6\n", encoding="ascii")
        (self._dht / "in_humidityrelative_input").write_text("50000\n", encoding="ascii")
        (self._dht / "in_temp_input").write_text("21000\n", encoding="ascii")
        (self._zone / "type").write_text("cpu-thermal\n", encoding="ascii")
        self.heat(60)
        patch.setattr(Dht, "iio", folder / "iio")
        patch.setattr(PiCpu, "sysfs", folder / "sysfs")

    def heat(self, celsius: float) -> None:
        """Have the CPU as hot as this."""
        new = self._zone / "new"
        new.write_text(f"{celsius * 1000:.0f}\n", encoding="ascii")
        new.rename(self._zone / "temp")


@pytest.fixture
def pins() -> Iterator[Pins]:
    with plugged() as made:
        yield made


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pins: Pins) -> House:  # noqa: ARG001 - it has pins
    return House(tmp_path, monkeypatch)


def real(tmp_path: Path, broker: Mosquitto, house: House) -> Path:
    """The file without a simulator."""
    folder = house.onewire.folder
    polls = {"temperature_poll_0": 0.1, "humidity_poll_0": 0.1}
    return configuration(tmp_path, broker, simulate=False, rpi1wire_sensors_dir_0=folder, **polls)


def test_it_rings_on_a_server_and_calms_down(
    broker: Mosquitto, air: Requester, tmp_path: Path, house: House, pins: Pins
) -> None:
    with running(real(tmp_path, broker, house), REGISTRY):
        wait_data(air, f"basic/{BUS}/average", 33.67)
        assert pins.level(17) == 1
        since = len(air.probe.messages)
        house.heat(110)
        wait_data(air, f"basic/{BUS}/state", "ringing", since=since)
        wait_for(lambda: pins.pulses == {17: (2, 50)}, TIMEOUT, "the LED blinks")
        house.heat(50)
        wait_data(air, f"basic/{BUS}/state", "reporting", since=since)
        wait_data(air, f"user/{LED}/switch", "on", since=since)
    assert (pins.level(17), pins.threads) == (0, 0)


def test_a_bus_inside_that_is_not_there_keeps_only_its_own_from_working(
    broker: Mosquitto, air: Requester, tmp_path: Path, house: House
) -> None:
    house.onewire.vanish()
    with capture_logs() as log, running(real(tmp_path, broker, house), REGISTRY, online=False) as server:
        server.wait_online(BUS, AMBIANCE, CPU, LED)
        wait_heartbeats(air.probe, [TEMPERATURE], NodeState.OFFLINE)
        reason = next(node.reason for node in server.nodes if str(node.hadd) == TEMPERATURE)
        assert reason.startswith("temperature: there is no 1-Wire bus")
        assert next((each["device"], each["oid"]) for each in events(log, "part_not_open")) == ("tutorial3", "rpi1wire")
        wait_data(air, f"basic/{BUS}/average", 40.5)
        since = len(air.probe.messages)
        house.onewire.come_back()
        wait_data(air, f"basic/{TEMPERATURE}/temperature", 20, since=since)
        server.wait_online(TEMPERATURE)
        assert [each["event"] for each in log].count("bus_started") == 1


def test_a_pin_that_another_program_has(
    broker: Mosquitto, air: Requester, tmp_path: Path, house: House, pins: Pins
) -> None:
    pins.busy.add(17)
    with running(real(tmp_path, broker, house), REGISTRY, online=False) as server:
        server.wait_online(BUS, AMBIANCE, TEMPERATURE, CPU)
        wait_heartbeats(air.probe, [LED], NodeState.OFFLINE)
        pins.busy.clear()
        # Its next poll is a minute away; whoever writes to it has it set up.
        assert air.write(LED, "switch", "on", Genre.USER, 0x25)["data"] == "on"
        server.wait_online(LED)


def test_a_sensor_that_is_unplugged(broker: Mosquitto, air: Requester, tmp_path: Path, house: House) -> None:
    with running(real(tmp_path, broker, house), REGISTRY) as server:
        wait_data(air, f"basic/{BUS}/average", 33.67)
        since = len(air.probe.messages)
        house.onewire.unplug("28-00000588806a")
        wait_data(air, f"basic/{TEMPERATURE}/temperature", None, since=since)
        # The average of what is known.
        wait_data(air, f"basic/{BUS}/average", 40.5, since=since)
        assert server.states()[AMBIANCE] == "ONLINE"
        house.onewire.plug("28-00000588806a", 20)
        wait_data(air, f"basic/{TEMPERATURE}/temperature", 20, since=since)

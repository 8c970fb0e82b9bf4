"""What is at the pins of a Pi: the drivers by themselves, and on a running server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from drivers.gpio import GpioBus, Input, Led, Output, Pir, Pwm, Rgb, Servo, Sonic, lines, sonic
from drivers.gpio import bus as gpio_bus
from drivers.gpio.bus import GpioComponent
from janitoo_actors.api import BusLostError, ConfigurationError, ManualRuntime, PermanentError, TemporaryError
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message, Probe
from pi_gpio import PUD_DOWN, PUD_UP, Pins, plugged
from resilience import events
from running_server import TIMEOUT, Requester, obey_permissions, running, system_section, wait_heartbeats
from waiting import wait_for

ROOT = Path(__file__).parents[2]
OPENS = """
import pathlib
from drivers.gpio import GpioBus
from janitoo_actors.api import PermanentError
try:
    GpioBus().open()
except PermanentError as error:
    print(pathlib.Path.cwd(), error)
"""
D = TypeVar("D", bound=GpioComponent)


@pytest.fixture
def pins() -> Iterator[Pins]:
    with plugged() as made:
        yield made


def opened(kind: type[D], bus: GpioBus | None = None, **options: str) -> D:
    """A component on a bus of its own, both open."""
    bus = bus or GpioBus()
    bus.open()
    device = kind(kind.oid, options)
    device.bus = bus
    device.runtime = ManualRuntime()
    device.open()
    return device


def manual(device: GpioComponent) -> ManualRuntime:
    assert isinstance(device.runtime, ManualRuntime)
    return device.runtime


def pushes(device: GpioComponent) -> list[tuple[str, str]]:
    """What it has pushed, with what its library has told it until now."""
    manual(device).advance(0)
    return manual(device).changes


def close(device: GpioComponent) -> None:
    device.close()
    device.bus.close()


# -- the bus -----------------------------------------------------------------------------------------------------------


def test_without_a_pi_it_says_so() -> None:
    # rpi-lgpio is installed for the tests, and this machine is no Pi.
    with pytest.raises(PermanentError, match=r"RPi\.GPIO (does not work on this machine|is not installed)"):
        GpioBus().open()


def test_importing_the_library_leaves_no_file_and_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Where it may write, and where it may not; in a process that has not imported it yet.
    for prepare in (None, obey_permissions):
        done = subprocess.run(
            [sys.executable, "-c", OPENS],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            preexec_fn=prepare,
            check=True,
            timeout=TIMEOUT,
        )
        assert done.stdout.startswith(f"{tmp_path} the library RPi.GPIO ")
        assert list(tmp_path.iterdir()) == []
        tmp_path.chmod(0o555)


def test_pins_are_numbered_as_the_file_says(pins: Pins) -> None:
    output = opened(Output, GpioBus(options={"boardmode_0": "BOARD"}), pin_0="11", initial="on")
    assert pins.driven[17] == [1]
    assert [each.key for each in output.takes()] == ["gpio-0-17"]
    output.bus = GpioBus(options={"boardmode_0": "BCM"})
    assert [each.key for each in output.takes()] == ["gpio-0-11"]


@pytest.mark.parametrize(
    ("bus_options", "options", "expected"),
    [
        (
            {"boardmode_0": "BOARD"},
            {"pin_0": "6"},
            "pin_0 = 6: expected a pin of the header with a GPIO, as 3, 5, 7, 8",
        ),
        ({}, {}, "pin_0 = None: expected the number of its pin"),
    ],
)
def test_no_such_pin(bus_options: Mapping[str, str], options: Mapping[str, str], expected: str) -> None:
    output = Output(options=options)
    output.bus = GpioBus(options=bus_options)
    with pytest.raises(ConfigurationError, match=expected):
        output.takes()


def test_what_is_wrong_with_pins_is_said_when_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(
        "[rpigpio]\nhadd = 0140/0000\ncomponents.a = rpigpio.output\ncomponents.b = rpigpio.input\n"
        "components.c = rpigpio.pir\ncomponents.d = rpigpio.rgb\n[rpigpio__b]\npin_0 = 4\n[rpigpio__c]\npin_0 = 4\n"
        "[rpigpio__d]\npin_red_0 = 5\npin_green_0 = 6\npin_blue_0 = 5\n[board]\noid = rpigpio\nhadd = 0141/0000\n"
        "boardmode_0 = BOARD\ncomponents.a = rpigpio.input\ncomponents.b = rpigpio.input\n[board__a]\npin_0 = 6\n"
        # The card with the system is there.
        "[card]\noid = rpigpio\nhadd = 0142/0000\ncomponents.a = rpigpio.output\n[card__a]\npin_0 = 48\n",
        encoding="utf-8",
    )
    said = "\n".join(map(str, load(path, Registry.installed()).problems))
    assert "[rpigpio__a] pin_0: expected the number of its pin: it must be there" in said
    assert "[rpigpio__b] has the GPIO pin 4 already: expected another one" in said
    assert f"{path}:14: [rpigpio__d] pin_blue_0 = '5': expected another pin than pin_red_0" in said
    assert f"{path}:22: [board__a] pin_0 = '6': expected a pin of the header with a GPIO" in said
    assert f"{path}:28: [card__a] pin_0 = '48': expected 45 or less" in said


def test_a_chip_that_is_not_there_or_may_not_be_opened(
    pins: Pins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins.is_open = False
    with pytest.raises(TemporaryError, match="there is no /dev/gpiochip9999: the kernel has no GPIO here"):
        GpioBus().open()
    chip = tmp_path / "gpiochip0"
    chip.touch(0o000)
    monkeypatch.setattr(lines, "chip", lambda: chip)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(TemporaryError, match="may not be opened: add the server's user to the group gpio"):
        GpioBus().open()


def test_a_busy_pin_is_told_and_tried_again_also_where_nobody_polls(
    broker: Mosquitto, air: Requester, tmp_path: Path, pins: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio_bus, "_AGAIN", 0.1)
    path = configuration(tmp_path, broker)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("pin_0 = 4", "pin_0 = 4\nstate_poll_0 = 0"), encoding="utf-8")
    pins.busy.add(4)
    with capture_logs() as log, running(path, Registry.installed()):
        wait_data(air, "basic/0761/0001/state", None)
        assert events(log, "read_failed")[0]["error"] == "the GPIO pin 4 cannot be set up: GPIO busy"
        pins.busy.clear()
        wait_data(air, "basic/0761/0001/state", False)
        pins.drive(4, 1)
        wait_data(air, "basic/0761/0001/state", True)


def test_a_busy_pin_is_told_and_tried_again_with_each_read(pins: Pins) -> None:
    pins.busy.add(4)
    device = opened(Input, pin_0="4")
    with pytest.raises(TemporaryError, match="the GPIO pin 4 cannot be set up: GPIO busy"):
        device.read("state")
    pins.busy.clear()
    assert device.read("state") is False
    close(device)


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_an_input_tells_of_edges(pins: Pins) -> None:
    device = opened(Input, pin_0="4", pull_0="up", active_0="low", debounce_0="0")
    assert pins.pull(4) == PUD_UP
    assert device.read("state") is False
    pins.drive(4, 0)
    wait_for(lambda: pushes(device) == [("rpigpio.input", "state")], TIMEOUT, "the edge")
    assert device.read("state") is True
    close(device)
    pins.drive(4, 1)
    assert not pins.is_watched(4)
    assert pins.threads == 0


def test_a_level_counts_when_it_is_there_for_some_time_and_only_then_is_it_pushed(pins: Pins) -> None:
    device = opened(Input, pin_0="4", debounce_0="0.1")
    assert device.read("state") is False
    last = begin = time.monotonic()
    while last < begin + 0.3:
        # It bounces, for longer than a level must be there.
        last = time.monotonic()
        pins.drive(4, 0)
        pins.drive(4, 1)
        manual(device).advance(0.01)
        # A poll finds what was there before.
        settled = device.read("state")
        assert (settled, manual(device).changes) == (False, []) or time.monotonic() >= last + 0.1
    # Nobody need ask for it: there is a timer.
    while not manual(device).changes:
        assert time.monotonic() < last + TIMEOUT
        manual(device).advance(0.1)
    assert time.monotonic() >= last + 0.1
    assert device.read("state") is True
    for _ in range(5):
        manual(device).advance(1)
    assert len(manual(device).changes) == 1


def test_a_spike_is_not_pushed(pins: Pins) -> None:
    device = opened(Input, pin_0="4", debounce_0="0.05")
    assert device.read("state") is False
    end = time.monotonic() + 0.2
    pins.drive(4, 1)
    pins.drive(4, 0)
    while time.monotonic() < end:
        manual(device).advance(0.1)
    assert (device.read("state"), manual(device).changes) == (False, [])


def test_an_input_that_chatters_asks_for_little(pins: Pins) -> None:
    device = opened(Input, pin_0="4", debounce_0="10")
    assert device.read("state") is False
    asked = 0
    soon = manual(device).soon

    def count(key: str, call: Callable[[], None]) -> None:
        nonlocal asked
        asked += 1
        soon(key, call)

    manual(device).soon = count  # type: ignore[method-assign]
    pins.drive(4, 1)
    wait_for(lambda: asked == 1, TIMEOUT, "the edge")
    manual(device).advance(0)
    for number in range(1000):
        pins.drive(4, number % 2)
    close(device)
    # The library's thread has ended, and so has told of all of them.
    assert (asked, manual(device).changes) == (1, [])


def test_where_the_kernel_tells_of_no_edges_the_level_is_looked_at(pins: Pins) -> None:
    pins.edges_fail = True
    with capture_logs() as log:
        device = opened(Pir, pin_0="4")
    (event,) = [each for each in log if each["event"] == "edges_unavailable"]
    assert "Failed to add edge detection; " in event["error"]
    assert "pip uninstall RPi.GPIO, and " in event["error"]
    assert pins.pull(4) == PUD_DOWN
    assert device.read("presence") is False
    pins.drive(4, 1)
    manual(device).advance(0.1)
    assert pushes(device) == [("rpigpio.pir", "presence")]
    assert device.read("presence") is True
    manual(device).advance(1)
    assert len(manual(device).changes) == 1
    close(device)
    manual(device).advance(1)


def test_a_bus_that_was_left_behind_does_not_keep_the_edges(pins: Pins) -> None:
    old = opened(Input, pin_0="4")
    new = opened(Input, pin_0="4", debounce_0="0")
    pins.drive(4, 1)
    wait_for(lambda: bool(pushes(new)), TIMEOUT, "the edge")
    assert pushes(old) == []
    # It comes back from what it hung in: it touches nothing of the next one's.
    close(old)
    assert pins.is_watched(4)
    close(new)
    assert not pins.is_watched(4)


def test_where_the_kernel_tells_of_no_edges_a_level_counts_all_the_same_when_it_is_there_for_long(pins: Pins) -> None:
    pins.edges_fail = True
    # Longer than it is between two looks.
    device = opened(Input, pin_0="4", debounce_0="0.3")
    assert device.read("state") is False
    pins.drive(4, 1)
    begin = time.monotonic()
    manual(device).advance(0.1)
    while time.monotonic() < begin + 0.5:
        manual(device).advance(0.1)
    assert (device.read("state"), pushes(device)) == (True, [("rpigpio.input", "state")])
    close(device)


# -- outputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0]),
        ({"initial": "on"}, [1]),
        ({"initial": "off", "active_0": "low"}, [1]),
        ({"active_0": "low"}, [1]),
    ],
)
def test_an_output_has_its_level_from_the_first_moment(
    pins: Pins, options: dict[str, str], expected: list[int]
) -> None:
    device = opened(Output, None, pin_0="17", **options)
    assert pins.driven[17] == expected
    assert device.read("switch") == ("on" if options.get("initial") == "on" else "off")


def test_an_output_is_as_configured_after_a_restart_of_the_bus(pins: Pins) -> None:
    for _ in range(2):
        device = opened(Output, pin_0="17", initial="on", on_exit="off")
        assert (device.read("switch"), pins.level(17)) == ("on", 1)
        close(device)
        assert pins.level(17) == 0


@pytest.mark.parametrize(("on_exit", "expected"), [("keep", [0, 1, 1]), ("on", [0, 1, 1, 1]), ("off", [0, 1, 0, 0])])
def test_no_relay_clicks_at_a_restart(pins: Pins, on_exit: str, expected: list[int]) -> None:
    device = opened(Output, pin_0="17", on_exit=on_exit)
    device.write("switch", "on")
    close(device)
    device = opened(Output, pin_0="17", on_exit=on_exit)
    assert pins.driven[17] == expected
    assert device.read("switch") == ("off" if on_exit == "off" else "on")


def test_a_write_is_confirmed(pins: Pins) -> None:
    device = opened(Output, pin_0="17")
    pins.wrong.add(17)
    with pytest.raises(TemporaryError, match="the GPIO pin 17 does not take the level that it is driven to"):
        device.write("switch", "on")
    pins.wrong.clear()
    device.write("switch", "off")
    assert device.read("switch") == "off"


def test_an_output_whose_pin_somebody_else_in_the_process_has_let_go(pins: Pins) -> None:
    device = opened(Output, pin_0="17")
    device.write("switch", "on")
    pins.cleanup(17)
    with pytest.raises(TemporaryError, match=r"the pins of rpigpio\.output fail: "):
        device.read("switch")
    # It is set up anew, as it was.
    assert (device.read("switch"), pins.level(17)) == ("on", 1)


def test_an_output_of_a_bus_that_was_left_behind(pins: Pins) -> None:
    old = opened(Output, pin_0="17", on_exit="off")
    new = opened(Output, pin_0="17")
    new.write("switch", "on")
    with pytest.raises(BusLostError, match="used by the bus that has replaced this one"):
        old.write("switch", "off")
    with pytest.raises(BusLostError):
        old.read("switch")
    close(old)
    assert (new.read("switch"), pins.driven[17]) == ("on", [0, 0, 1])


# -- pulses ------------------------------------------------------------------------------------------------------------


def test_a_led(pins: Pins) -> None:
    device = opened(Led, pin_0="17", frequency_0="4")
    assert device.read("switch") == "off"
    device.write("switch", "on")
    assert (device.read("switch"), pins.level(17)) == ("on", 1)
    device.write("switch", "blink")
    assert (device.read("switch"), pins.pulses) == ("blink", {17: (4, 50)})
    device.change_setting("frequency", 1)
    assert pins.pulses == {17: (1, 50)}
    device.write("switch", "on")
    assert (device.read("switch"), pins.level(17), pins.pulses) == ("on", 1, {})
    device.write("switch", "blink")
    close(device)
    assert (pins.level(17), pins.pulses, pins.threads) == (0, {}, 0)
    with pytest.raises(ValueError, match="expected one of on, off, blink"):
        device.write("switch", "dim")


def test_a_led_at_low_of_a_bus_that_was_left_behind(pins: Pins) -> None:
    old = opened(Led, pin_0="17", active_0="low")
    old.write("switch", "blink")
    new = opened(Led, pin_0="17", active_0="low")
    assert (new.read("switch"), pins.pulses) == ("off", {})
    new.write("switch", "blink")
    assert pins.pulses == {17: (2, 50)}
    close(old)
    assert pins.pulses == {17: (2, 50)}
    close(new)
    assert (pins.level(17), pins.pulses) == (1, {})


def test_a_dimmer(pins: Pins) -> None:
    device = opened(Pwm, pin_0="18", frequency_0="200")
    assert (device.read("duty"), pins.pulses) == (0, {})
    device.write("duty", 30)
    assert (device.read("duty"), pins.pulses) == (30, {18: (200, 30)})
    device.change_setting("frequency", 50)
    assert pins.pulses == {18: (50, 30)}
    with pytest.raises(ValueError, match="expected 100 or less"):
        device.write("duty", 101)
    close(device)
    assert (pins.level(18), pins.threads) == (0, 0)


def test_a_colour(pins: Pins) -> None:
    device = opened(Rgb, pin_red_0="5", pin_green_0="6", pin_blue_0="13", active_0="low")
    assert [pins.level(pin) for pin in (5, 6, 13)] == [1, 1, 1]
    device.write("color", "#ff8000")
    assert [round(pins.pulses[pin][1]) for pin in (5, 6, 13)] == [0, 50, 100]
    assert device.read("color") == "#ff8000"
    with pytest.raises(ValueError, match="expected a colour as #rrggbb"):
        device.write("color", "red")
    close(device)
    assert ([pins.level(pin) for pin in (5, 6, 13)], pins.threads) == ([1, 1, 1], 0)


@pytest.mark.parametrize("kind", [Led, Pwm, Servo])
def test_pulses_end_also_where_the_pin_has_failed(pins: Pins, kind: type[GpioComponent]) -> None:
    device = opened(kind, pin_0="17")
    value, data = {Led: ("switch", "blink"), Pwm: ("duty", 30), Servo: ("angle", 90)}[kind]
    device.write(value, data)
    pins.failing.add(17)
    with pytest.raises(TemporaryError, match=r"the pins of rpigpio\.[a-z]+ fail: GPIO write failed"):
        device.write(value, data)
    pins.failing.clear()
    close(device)
    assert (pins.level(17), pins.pulses) == (0, {})


def test_a_colour_of_which_one_pin_is_taken(pins: Pins) -> None:
    pins.busy.add(13)
    device = opened(Rgb, pin_red_0="5", pin_green_0="6", pin_blue_0="13")
    with pytest.raises(TemporaryError, match=r"^the GPIO pin 13 cannot be set up: GPIO busy$"):
        device.read("color")
    close(device)
    device = opened(Rgb, pin_red_0="5", pin_green_0="6", pin_blue_0="13", active_0="low")
    close(device)
    # What it had is given back.
    assert [pins.level(pin) for pin in (5, 6)] == [1, 1]
    pins.busy.clear()
    device = opened(Rgb, pin_red_0="5", pin_green_0="6", pin_blue_0="13")
    device.write("color", "#0000ff")
    assert pins.pulses == {5: (100, 0), 6: (100, 0), 13: (100, 100)}
    close(device)


def test_a_servo_is_turned_and_let_loose(pins: Pins) -> None:
    device = opened(Servo, pin_0="12")
    assert device.read("angle") is None
    device.write("angle", 90)
    assert (device.read("angle"), pins.pulses) == (90, {12: (50, 7.5)})
    manual(device).advance(1)
    assert (device.read("angle"), pins.pulses) == (90, {})
    device.write("angle", 0)
    assert pins.pulses == {12: (50, 2.5)}
    close(device)
    assert pins.threads == 0


# -- distances ---------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that goes on when it is looked at: on a busy machine an echo would be as long as it likes."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 10e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_distance(pins: Pins, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(sonic, "time", clock)
    device = opened(Sonic, pin_trigger_0="23", pin_echo_0="24")
    # Of three echoes, one is of something else.
    lengths = iter((0.01, 0.0002, 0.01))
    begin = end = 0.0

    def triggered(pin: int, level: int) -> None:
        nonlocal begin, end
        if pin == 23 and level == 0:
            begin = clock.now + 0.0005
            end = begin + next(lengths)

    pins.on_output = triggered
    pins.shapes[24] = lambda: int(begin <= clock.now < end)
    assert device.read("distance") == pytest.approx(1.715, abs=0.01)
    close(device)


@pytest.mark.parametrize(("stuck", "expected"), [(0, "does not begin: check the wires"), (1, "does not end")])
def test_a_distance_that_cannot_be_measured_is_waited_for_no_longer_than_a_moment(
    pins: Pins, stuck: int, expected: str
) -> None:
    device = opened(Sonic, pin_trigger_0="23", pin_echo_0="24", distance_retries="0")
    pins.drive(24, stuck)
    with pytest.raises(TemporaryError, match=f"^the echo at the GPIO pin 24 {expected}"):
        device.read("distance")


# -- on a server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def air(broker: Mosquitto) -> Iterator[Requester]:
    with Probe(broker.host, broker.port) as probe:
        yield Requester(probe, "9996/0001")


def configuration(tmp_path: Path, broker: Mosquitto) -> Path:
    path = tmp_path / "server.conf"
    lines = ["[rpigpio]", "hadd = 0761/0000", "components.button = rpigpio.input", "components.relay = rpigpio.output"]
    lines += ["components.led = rpigpio.led", "[rpigpio__button]", "hadd = 0761/0001", "pin_0 = 4"]
    lines += ["[rpigpio__relay]", "hadd = 0761/0002", "pin_0 = 17", "[rpigpio__led]", "hadd = 0761/0003", "pin_0 = 27"]
    text = system_section(broker, "service = gpio", "max_backoff = 0.1", "read_timeout = 5")
    path.write_text("\n".join([text, *lines, ""]), encoding="utf-8")
    return path


def wait_data(air: Requester, topic: str, data: Any, *, since: int = 0) -> None:
    def published(message: Message) -> bool:
        return message.topic == f"/values/{topic}" and message.value["data"] == data

    air.probe.wait_message(published, TIMEOUT, since=since)


def test_on_a_server(broker: Mosquitto, air: Requester, tmp_path: Path, pins: Pins) -> None:
    with running(configuration(tmp_path, broker), Registry.installed()):
        wait_data(air, "basic/0761/0001/state", False)
        since = len(air.probe.messages)
        # A button that chatters, long before the next poll.
        for level in (1, 0, 1, 0, 1):
            pins.drive(4, level)
        wait_data(air, "basic/0761/0001/state", True, since=since)
        answer = air.write("0761/0002", "switch", "on", Genre.USER, 0x25)
        assert (answer["data"], pins.level(17)) == ("on", 1)
        answer = air.write("0761/0003", "switch", "blink", Genre.USER, 0x25)
        assert (answer["data"], pins.pulses) == ("blink", {27: (2, 50)})
    # The relay stays as it is.
    assert (pins.driven[17], pins.level(17), pins.level(27), pins.threads) == ([0, 1], 1, 0, 0)


def test_a_contact_that_chatters_is_published_once(
    broker: Mosquitto, air: Requester, tmp_path: Path, pins: Pins
) -> None:
    path = configuration(tmp_path, broker)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("pin_0 = 4", "pin_0 = 4\ndebounce_0 = 0.5"), encoding="utf-8")
    topic = "/values/basic/0761/0001/state"
    with running(path, Registry.installed()):
        wait_data(air, "basic/0761/0001/state", False)
        since = len(air.probe.messages)
        for number in range(10_001):
            pins.drive(4, (number + 1) % 2)
        wait_data(air, "basic/0761/0001/state", True, since=since)
        said = [message.value["data"] for message in air.probe.messages[since:] if message.topic == topic]
        assert said == [True]


def test_a_pin_that_two_buses_want_keeps_only_its_component_from_working(
    broker: Mosquitto, air: Requester, tmp_path: Path, pins: Pins
) -> None:
    path = configuration(tmp_path, broker)
    lines = ["[attic]", "oid = rpigpio", "hadd = 0762/0000", "components.relay = rpigpio.output"]
    lines += ["components.door = rpigpio.input", "[attic__relay]", "hadd = 0762/0001", "pin_0 = 17"]
    lines += ["[attic__door]", "hadd = 0762/0002", "pin_0 = 5", ""]
    path.write_text(path.read_text(encoding="utf-8") + "\n".join(lines), encoding="utf-8")
    relays = {"0761/0002": "rpigpio__relay", "0762/0001": "attic__relay"}
    with running(path, Registry.installed(), online=False) as server:
        server.wait_online("0761/0000", "0761/0001", "0761/0003", "0762/0000", "0762/0002")

        def states() -> set[str]:
            return {server.states()[hadd] for hadd in relays}

        wait_for(lambda: states() == {"ONLINE", "OFFLINE"}, TIMEOUT, lambda: f"one of them has it: {states()}")
        (loser,) = [node for node in server.nodes if str(node.hadd) in relays and node.reason]
        (winner,) = [uuid for hadd, uuid in relays.items() if hadd != str(loser.hadd)]
        assert loser.reason.startswith(f"switch: the GPIO pin 17 is taken by [{winner}] of gpio")
        since = len(air.probe.messages)
        pins.drive(5, 1)
        wait_data(air, "basic/0762/0002/state", True, since=since)


def test_one_pin_that_fails_on_a_server(broker: Mosquitto, air: Requester, tmp_path: Path, pins: Pins) -> None:
    pins.busy.add(17)
    with running(configuration(tmp_path, broker), Registry.installed(), online=False) as server:
        server.wait_online("0761/0000", "0761/0001", "0761/0003")
        wait_heartbeats(air.probe, ["0761/0002"], NodeState.OFFLINE)
        reason = next(node.reason for node in server.nodes if str(node.hadd) == "0761/0002")
        assert reason == "switch: the GPIO pin 17 cannot be set up: GPIO busy"
        since = len(air.probe.messages)
        pins.drive(4, 1)
        wait_data(air, "basic/0761/0001/state", True, since=since)
        pins.busy.clear()
        wait_heartbeats(air.probe, ["0761/0002"], NodeState.ONLINE, since=since)

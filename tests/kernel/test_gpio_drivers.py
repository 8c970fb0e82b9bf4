"""The bus rpigpio on a real kernel's pins, by rpi-lgpio."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from brokers import Mosquitto
from drivers.gpio import GpioBus, Input, Led, Output, Pwm, Sonic
from drivers.gpio.bus import GpioComponent
from janitoo_actors.api import ManualRuntime, TemporaryError
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from kernel_hardware import KernelHardware
from mqtt_probe import Message, Probe
from running_server import PROGRAM, Requester, ServerProcess, system_section, wait_heartbeats
from waiting import wait_for

pytestmark = pytest.mark.kernel
TIMEOUT = 20.0
D = TypeVar("D", bound=GpioComponent)

# Another program, which drives a pin to a level until its input ends.
HOLDER = """
import sys, lgpio
chip = lgpio.gpiochip_open(0)
lgpio.gpio_claim_output(chip, int(sys.argv[1]), int(sys.argv[2]))
print("driven", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(pin: int, level: int) -> Iterator[None]:
    """Have another program drive a pin."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(pin), str(level)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="ascii",
        cwd="/run",
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "driven\n"
        yield
    finally:
        process.stdin.close()
        process.wait(TIMEOUT)
        process.stdout.close()


def opened(kind: type[D], **options: str) -> D:
    bus = GpioBus()
    bus.open()
    device = kind(kind.oid, options)
    device.bus = bus
    device.runtime = ManualRuntime()
    device.open()
    return device


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    """Have the process keep no pin for the tests after this one, as it does on purpose for a restart of a bus."""
    yield
    gpio = sys.modules.get("RPi.GPIO")
    if gpio is not None:
        gpio.cleanup()


def pushes(runtime: ManualRuntime) -> int:
    """How much a device has pushed, with what its library has told it until now."""
    runtime.advance(0)
    return len(runtime.changes)


def test_an_output(hardware: KernelHardware) -> None:
    device = opened(Output, pin_0="17", initial="on", on_exit="off")
    assert (device.read("switch"), hardware.output(17)) == ("on", 1)
    device.write("switch", "off")
    assert (device.read("switch"), hardware.output(17)) == ("off", 0)
    device.write("switch", "on")
    device.close()
    assert hardware.output(17) == 0


def test_an_output_is_as_configured_after_a_restart_of_the_bus(hardware: KernelHardware) -> None:
    # The process has it still, at another level.
    for _ in range(2):
        device = opened(Output, pin_0="27", initial="on", on_exit="off")
        assert (device.read("switch"), hardware.output(27)) == ("on", 1)
        device.close()
        assert hardware.output(27) == 0


def test_an_output_is_kept_over_a_restart_of_the_bus(hardware: KernelHardware) -> None:
    device = opened(Output, pin_0="18", active_0="low")
    assert (device.read("switch"), hardware.output(18)) == ("off", 1)
    device.write("switch", "on")
    device.close()
    device.bus.close()
    assert hardware.output(18) == 0
    assert opened(Output, pin_0="18", active_0="low").read("switch") == "on"
    assert hardware.output(18) == 0


def test_an_output_is_kept_that_another_program_has_left_on(hardware: KernelHardware) -> None:
    with another_program(19, 1):
        assert hardware.output(19) == 1
        # What the kernel's simulator has at a line that nobody has any more; a Pi leaves it as it is.
        hardware.drive(19, 1)
    device = opened(Output, pin_0="19")
    assert (device.read("switch"), hardware.output(19)) == ("on", 1)


def test_a_busy_pin_names_its_holder(hardware: KernelHardware) -> None:
    with another_program(20, 1):
        device = opened(Output, pin_0="20")
        with pytest.raises(TemporaryError, match="the GPIO pin 20 is taken by lg: end that, or use another pin"):
            device.read("switch")
        assert hardware.output(20) == 1
    assert device.read("switch") == "off"


def test_edges(hardware: KernelHardware) -> None:
    hardware.drive(21, 0)
    device = opened(Input, pin_0="21", pull_0="down", debounce_0="0")
    assert isinstance(device.runtime, ManualRuntime)
    runtime = device.runtime
    assert device.read("state") is False
    for number, level in enumerate((1, 0, 1), start=1):
        hardware.drive(21, level)
        wait_for(lambda wanted=number: pushes(runtime) >= wanted, TIMEOUT, lambda: f"an edge: {runtime.changes}")  # type: ignore[misc]
        assert device.read("state") is bool(level)
    device.close()
    count = pushes(runtime)
    hardware.drive(21, 0)
    again = opened(Input, pin_0="21", pull_0="down", debounce_0="0")
    hardware.drive(21, 1)
    wait_for(lambda: again.read("state"), TIMEOUT, "the level")
    # The first one hears no more.
    assert pushes(runtime) == count
    again.close()


def test_a_led_blinks(hardware: KernelHardware) -> None:
    device = opened(Led, pin_0="25", frequency_0="20")
    device.write("switch", "blink")
    for level in (1, 0, 1, 0):
        wait_for(lambda wanted=level: hardware.output(25) == wanted, TIMEOUT, "it blinks")  # type: ignore[misc]
    device.write("switch", "on")
    assert (device.read("switch"), hardware.output(25)) == ("on", 1)
    device.write("switch", "blink")
    device.close()
    assert hardware.output(25) == 0
    device = opened(Led, pin_0="25")
    device.write("switch", "blink")
    device.close()


def test_pulses(hardware: KernelHardware) -> None:
    device = opened(Pwm, pin_0="26", frequency_0="50")
    device.write("duty", 50)
    for level in (1, 0, 1):
        wait_for(lambda wanted=level: hardware.output(26) == wanted, TIMEOUT, "pulses")  # type: ignore[misc]
    device.write("duty", 100)
    wait_for(lambda: hardware.output(26) == 1, TIMEOUT, "it is on")
    device.close()
    assert hardware.output(26) == 0


def test_a_sensor_of_distance_that_does_not_answer(hardware: KernelHardware) -> None:
    hardware.drive(24, 0)
    device = opened(Sonic, pin_trigger_0="23", pin_echo_0="24", distance_retries="0")
    with pytest.raises(TemporaryError, match="the echo at the GPIO pin 24 does not begin"):
        device.read("distance")
    device.close()


CONFIGURATION = """
[rpigpio]
hadd = 0164/0000
components.button = rpigpio.input
components.relay = rpigpio.output
components.taken = rpigpio.output

[rpigpio__button]
hadd = 0164/0001
pin_0 = 4
pull_0 = down

[rpigpio__relay]
hadd = 0164/0002
pin_0 = 5

[rpigpio__taken]
hadd = 0164/0003
pin_0 = 6
switch_poll_0 = 0.1
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_on_a_server(hardware: KernelHardware, broker: Mosquitto, tmp_path: Path, isolation: str) -> None:
    path = tmp_path / "my.conf"
    text = CONFIGURATION.replace("hadd = 0164/0000", f"hadd = 0164/0000\nisolation = {isolation}")
    path.write_text(system_section(broker, "max_backoff = 0.2") + text, encoding="utf-8")
    hardware.drive(4, 0)
    topics = ["/dhcp/heartbeat/#", "/values/#", "/nodes/#"]
    with Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe:
        air = Requester(probe)
        with (
            another_program(6, 1),
            ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path) as server,
        ):
            wait_heartbeats(probe, ["0164/0001", "0164/0002"], NodeState.ONLINE)
            wait_heartbeats(probe, ["0164/0003"], NodeState.OFFLINE)
            server.wait_err("the GPIO pin 6 is taken by lg")
            since = len(probe.messages)
            # Its next poll is a minute away.
            hardware.drive(4, 1)
            probe.wait_message(pressed, TIMEOUT, since=since)
            assert air.write("0164/0002", "switch", "on", Genre.USER, 0x25)["data"] == "on"
            assert hardware.output(5) == 1
            assert server.interrupt() == 0, server.both
            assert not list(tmp_path.glob(".lgd*"))


def switch_on(air: Requester, hardware: KernelHardware) -> None:
    assert air.write("0164/0002", "switch", "on", Genre.USER, 0x25)["data"] == "on"
    assert hardware.output(5) == 1
    # What the kernel's simulator has at a line that nobody has any more; a Pi leaves it as it is.
    hardware.drive(5, 1)


def is_on(message: Message) -> bool:
    return message.topic == "/values/user/0164/0002/switch" and message.value["data"] == "on"


@pytest.mark.parametrize("killed", ["bus", "server"])
def test_a_relay_stays_on_and_a_button_is_heard_after_a_kill(
    hardware: KernelHardware, broker: Mosquitto, tmp_path: Path, killed: str
) -> None:
    path = tmp_path / "my.conf"
    isolation = "process" if killed == "bus" else "thread"
    text = CONFIGURATION.replace("hadd = 0164/0000", f"hadd = 0164/0000\nisolation = {isolation}")
    path.write_text(system_section(broker, "max_backoff = 0.2") + text, encoding="utf-8")
    hardware.drive(4, 0)
    topics = ["/dhcp/heartbeat/#", "/values/#", "/nodes/#"]
    with Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe:
        air = Requester(probe)
        with ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path) as server:
            wait_heartbeats(probe, ["0164/0001", "0164/0002"], NodeState.ONLINE)
            switch_on(air, hardware)
            since = len(probe.messages)
            if killed == "bus":
                # A child of what Python starts processes from.
                children = psutil.Process(server.process.pid).children(recursive=True)
                (child,) = [each for each in children if each.ppid() != server.process.pid]
                child.kill()
                since = started_again(probe, since)
                # It is read when it has been started again, and has been on all the time.
                probe.wait_message(is_on, TIMEOUT, since=since)
                assert hardware.output(5) == 1
                hardware.drive(4, 1)
                probe.wait_message(pressed, TIMEOUT, since=since)
                assert server.interrupt() == 0, server.both
                return
        # The end of `with` has killed it.
        with ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path) as server:
            since = started_again(probe, since)
            probe.wait_message(is_on, TIMEOUT, since=since)
            assert hardware.output(5) == 1
            hardware.drive(4, 1)
            probe.wait_message(pressed, TIMEOUT, since=since)
            assert server.interrupt() == 0, server.both


def started_again(probe: Probe, since: int) -> int:
    """Wait for a new start; how many messages came before: the last ones of the one before may still come."""
    boot = probe.wait_message(
        lambda message: message.topic == "/dhcp/heartbeat/0164/0002" and message.payload == NodeState.BOOT.encode(),
        TIMEOUT,
        since=since,
    )
    return next(number for number, message in enumerate(probe.messages) if message is boot)


def pressed(message: Message) -> bool:
    return message.topic == "/values/basic/0164/0001/state" and message.value["data"] is True

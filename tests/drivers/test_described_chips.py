"""Chips by their descriptions: those of docs/drivers.md, and what is wrong with one."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import Mosquitto
from drivers.i2c import Ads1115, Pca9685
from drivers.i2c.anychip import AnyChip, Register
from drivers.spi import Mcp3208
from drivers.spi.anychip import AnyTransfer
from fake_buses import FakeBuses
from janitoo_actors.api import Device, OptionsError
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.values import node_values
from mqtt_probe import Probe
from running_server import TIMEOUT, Requester, system_section, wait_heartbeats

PAGE = (Path(__file__).parents[2] / "docs/drivers.md").read_text(encoding="utf-8")
FRAGMENTS = [
    fragment
    for fragment in re.findall(r"^```ini fragment\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    if "rpii2c.register" in fragment or "rpispi.transfer" in fragment
]
PROGRAM = """
import json
from drivers.i2c import AnyChip, I2cBus
from drivers.spi import AnyTransfer, SpiBus

def made(kind, bus, **options):
    bus = bus()
    bus.open()
    device = kind("rpi__x", options)
    device.bus = bus
    return device

def tried(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = []
"""


def of_the_page(name: str) -> dict[str, str]:
    """The options of an example of the page."""
    parser = ConfigParser(interpolation=None)
    for fragment in FRAGMENTS:
        parser.read_string(fragment)
    (section,) = (each for each in parser.sections() if each.endswith(f"__{name}"))
    return dict(parser[section])


def run(buses: FakeBuses, script: str, **options: str) -> Any:
    """Run a script with a chip that is described so, `one`."""
    kind = "AnyChip, I2cBus" if "address" in options else "AnyTransfer, SpiBus"
    return buses.run(f"{PROGRAM}one = made({kind}, **{options!r})\n{script}\nprint(json.dumps(found))")


def test_the_page_has_all_examples() -> None:
    assert len(FRAGMENTS) == 2
    shown = {name for fragment in FRAGMENTS for name in re.findall(r"^\[rpi\w+__(\w+)\]", fragment, re.MULTILINE)}
    tried = {"rack", "shelf", "boiler", "light", "climate", "relays", "dimmer", "oven", "kiln", "speed"}
    assert shown == tried


@pytest.mark.parametrize(
    ("name", "address", "data", "number"),
    [
        # Table 10 of the LM75B's data sheet, table 8-2 of the TMP102's, and the MCP9808's, with alarms set.
        ("rack", 0x4F, b"\x7d\x00", 125),
        ("rack", 0x4F, b"\xe7\x00", -25),
        ("rack", 0x4F, b"\xff\x80", -0.5),
        ("shelf", 0x49, b"\x4b\x00", 75),
        ("shelf", 0x49, b"\x7f\xf0", 127.9375),
        ("shelf", 0x49, b"\xe7\x00", -25),
        ("boiler", 0x18, b"\xc1\x94", 25.25),
        ("boiler", 0x18, b"\x3f\xf0", -1),
    ],
)
def test_thermometers(buses: FakeBuses, name: str, address: int, data: bytes, number: float) -> None:
    registers = {"rack": 0, "shelf": 0, "boiler": 5}
    buses.words(address, {registers[name]: int.from_bytes(data, "big")})
    assert run(buses, 'found.append(one.read("value"))', **of_the_page(name)) == [number]


def test_what_is_set_up(buses: FakeBuses) -> None:
    buses.words(0x49, {0: 0})
    run(buses, 'one.read("value")', **of_the_page("shelf"))
    assert buses.word(0x49, 1) == 0x60A0


def test_a_chip_without_registers_that_is_told_to_measure(buses: FakeBuses) -> None:
    # The example of the BH1750's data sheet: 0x8390 is 28067 lx.
    buses.plain(0x23, b"\x83\x90")
    found = run(buses, 'found += [one.read("value"), one.read("value")]', **of_the_page("light"))
    assert found == pytest.approx([28067, 28067], abs=0.5)
    assert buses.sent("i2c-1-23") == ["20", "20"]


def test_a_chip_with_two_numbers_in_one_answer_and_a_bit_that_says_that_there_are_none(buses: FakeBuses) -> None:
    # Half of the humidity's range, three eighths of the temperature's.
    buses.plain(0x38, b"\x1c\x80\x00\x06\x00\x00")
    options = of_the_page("climate")
    assert run(buses, 'found += [one.read("value"), one.read("value", 1)]', **options) == [25, 50]
    assert buses.sent("i2c-1-38") == ["be 08 00", "ac 33 00", "ac 33 00"]
    buses.plain(0x38, b"\x9c\x80\x00\x06\x00\x00")
    (said,) = run(buses, 'found.append(tried(one.read, "value"))', **options, value_retries="1")
    assert said == (
        "TemporaryError: the chip says that this is no reading: 0x9c8000060000 has bits of fault=0x800000000000"
    )
    # It is set up again after each failure.
    assert buses.sent("i2c-1-38")[3:] == 2 * ["be 08 00", "ac 33 00"]


def test_a_port_with_inputs_and_outputs(buses: FakeBuses) -> None:
    # One input is low: written as it is read, it would stay so for ever.
    buses.port(0x20, outside=0xDF)
    found = run(
        buses,
        'one.write("level", "5"); found += [one.read("level"), one.read("value")]\n'
        'one.write("level", "10"); found.append(one.read("level"))',
        **of_the_page("relays"),
    )
    assert found == ["5", 0b1101, "10"]
    assert buses.sent("i2c-1-20") == ["f5", "fa"]


def test_an_output_that_something_else_holds_low(buses: FakeBuses) -> None:
    buses.port(0x20, outside=0xFE)
    found = run(buses, 'found.append(tried(one.write, "level", "3"))', **of_the_page("relays"))
    text = "plain u8 mask=0x0f ones=0xf0"
    assert found == [f"TemporaryError: the chip has not taken 3 for {text}: it has 2"]


def test_a_converter_that_is_read_back_in_another_way(buses: FakeBuses) -> None:
    options = of_the_page("dimmer")
    # Half of it: 0x800.
    buses.plain(0x60, b"\xc0\x80\x00\x00\x80\x00")
    found = run(
        buses,
        'one.write("level", "1.65")\n'
        'found += [one.read("level"), one.read("value")]\n'
        'found += [tried(one.write, "level", each) for each in ("3.3", "1")]',
        **options,
    )
    assert found == [
        "1.65",
        None,
        "ValueError: expected 0 to 3.29919",
        f"TemporaryError: the chip has not taken 1 for {options['level_config_0']}: it has 1.65",
    ]
    # What does not fit has not been sent.
    assert buses.sent("i2c-1-60") == ["40 80 00", "40 4d 90"]


def test_what_cannot_be_read_back_is_as_it_was_written(buses: FakeBuses) -> None:
    buses.plain(0x60, b"")
    found = run(
        buses,
        'found.append(one.read("level")); one.write("level", "1.6503"); found.append(one.read("level"))',
        address="0x60",
        writable="True",
        level_config_0="0x40 u16be mask=0xfff0 shift=4 scale=3.3/4096 -> none",
    )
    assert found == [None, "1.65"]


def test_registers_with_two_bytes(buses: FakeBuses) -> None:
    buses.plain(0x29, b"\xea")
    found = run(buses, 'found.append(one.read("value"))', address="0x29", value_config_0="0x010f u8")
    assert found == [0xEA]
    assert buses.sent("i2c-1-29") == ["01 0f"]


def test_the_register_where_a_chip_stands(buses: FakeBuses) -> None:
    buses.words(0x48, {0: 0x1980})
    options = {"address": "0x48", "value_config_0": "plain s16be shift=7 scale=0.5"}
    assert run(buses, 'found.append(one.read("value"))', **options) == [25.5]


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        ("oven", b"\x0c\x80", [100]),
        ("oven", b"\x7f\xf8", [1023.75]),
        (
            "oven",
            b"\x0c\x84",
            ["TemporaryError: the chip says that this is no reading: 0x0c84 has bits of fault=0x8004"],
        ),
        (
            "oven",
            b"\xff\xff",
            ["TemporaryError: the chip says that this is no reading: 0xffff has bits of fault=0x8004"],
        ),
        # Tables 4 and 5 of the MAX31855's data sheet.
        ("kiln", b"\x64\x00\x7f\x00", [1600, 127]),
        ("kiln", b"\x06\x4c\x64\x90", [100.75, 100.5625]),
        ("kiln", b"\xff\xfc\xff\xf0", [-0.25, -0.0625]),
        ("kiln", b"\xf0\x60\xc9\x00", [-250, -55]),
        (
            "kiln",
            b"\x00\x01\x19\x11",
            ["TemporaryError: the chip says that this is no reading: 0x00011911 has bits of fault=0x10000", 25.0625],
        ),
    ],
)
def test_thermocouples(buses: FakeBuses, name: str, answer: bytes, expected: list[Any]) -> None:
    options = of_the_page(name)
    buses.spi(f"spi0.{options['device']}", echo=answer)
    read = "found += [tried(one.read, 'value', each.index) for each in one.instances('value')]"
    assert run(buses, read, **options) == expected


def test_a_converter_that_says_nothing_back(buses: FakeBuses) -> None:
    buses.spi("spi0.2", echo=b"\0\0")
    options = of_the_page("speed")
    found = run(
        buses,
        'found += [one.read("level"), one.read("value")]; one.write("level", "1.65")\n'
        'found += [one.read("level"), tried(one.write, "level", "4"), tried(one.write, "level", "much")]',
        **options,
    )
    assert found == [None, None, "1.65", "ValueError: expected 0 to 3.29919", "ValueError: expected a number"]
    assert buses.sent("spi0.2") == ["38 00"]
    found = run(buses, 'found.append(tried(one.write, "level", "1"))', **{**options, "writable": "False"})
    assert found == ["PermanentError: [rpi__x] says writable = False: this chip is only read"]


def test_an_spi_chip_that_is_set_up_and_read_back(buses: FakeBuses) -> None:
    buses.spi("spi0.0", echo=b"\x00\x50")
    found = run(
        buses,
        'one.write("level", "80"); found += [one.read("level"), tried(one.write, "level", "81")]',
        setup="0x80 0xc2, 0x01",
        writable="True",
        device="0",
        level_config_0="0x00 0x00 at=1 u8 -> 0x0c 0xff at=1 u8",
    )
    assert found[0] == "80"
    assert found[1].startswith("TemporaryError: the chip has not taken 81 for")
    assert buses.sent("spi0.0") == ["80 c2", "01", "00 50", "0c ff", "0c ff", "00 51", "0c ff"]


@pytest.mark.parametrize("options", [{"address": "0x20"}, {}], ids=["register", "transfer"])
def test_a_chip_that_is_not_described(buses: FakeBuses, options: dict[str, str]) -> None:
    buses.plain(0x20, b"\0")
    buses.spi(echo=b"\0")
    script = 'found += [tried(one.read, "value"), one.read("level"), tried(one.write, "level", "1")]'
    nothing, level, nowhere = run(buses, script, **options, writable="True")
    assert nothing.startswith("ConfigurationError: [rpi__x] describes nothing: expected value_config_0")
    assert level is None
    assert nowhere == "PermanentError: [rpi__x] does not describe where: level_config_0 is empty"
    # And nothing is sent to a chip that the file does not say.
    assert buses.sent("i2c-1-20") == buses.sent("spi0.0") == []


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (AnyChip, {"value_config_0": "u8"}, "expected a register, as 0x1c, or the word plain, before the type"),
        (AnyChip, {"value_config_0": "0x100000 u8"}, "expected a number from 0 to 0xff"),
        (AnyChip, {"value_config_0": "0x00 u12"}, "expected one type, as u8, s16be"),
        (AnyChip, {"level_config_0": "0x00 u8 -> 1 x8"}, "expected one type, as u8, s16be"),
        (AnyChip, {"setup": "1=2=3"}, "expected bytes to send"),
        (AnyChip, {"wait": "2"}, "expected .*0 to 1"),
        (AnyTransfer, {"value_config_0": "0x01"}, "expected bytes to send, and the number in the answer, as 0x01 0x80"),
        (AnyTransfer, {"level_config_0": "0x01 at=0 u8 -> nothing"}, "expected bytes to send, and the number"),
    ],
)
def test_what_is_refused(kind: type[Device], options: dict[str, str], expected: str) -> None:
    needed = {"address": "0x20"} if kind is AnyChip else {}
    with pytest.raises(OptionsError, match=expected):
        kind(options={**needed, **options})


def test_the_type_may_be_left_out() -> None:
    assert Register.parse("0x0a") == Register.parse("0x0a u8")


def test_each_number_has_its_own_units_on_the_network(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    lines = [f"{key} = {text}" for key, text in of_the_page("climate").items()]
    lines.append("value_config_2 = plain u8")
    bus = "[rpii2c]\nhadd = 0161/0000\ncomponents.x = rpii2c.register\n[rpii2c__x]\nhadd = 0161/0001\n"
    path.write_text(bus + "\n".join(lines), encoding="utf-8")
    config = load(path, Registry.installed())
    assert config.problems == ()
    (component,) = config.buses[0].components
    values = {each.uuid: each for each in node_values(component.node, component.component_class)}
    assert [values["value"].wire(index)["units"] for index in range(3)] == ["°C", "%", None]
    assert values["level"].wire(1)["units"] == "%"
    assert values["value_config"].wire(0)["units"] is None


def test_described_chips_on_a_server(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    buses.port(0x20)
    buses.plain(0x38, b"\x1c\x80\x00\x06\x00\x00")
    path = tmp_path / "my.conf"
    lines = [system_section(broker), "[rpii2c]", "hadd = 0161/0000"]
    lines += ["components.relays = rpii2c.register", "components.climate = rpii2c.register"]
    for name, hadd in (("relays", "0161/0001"), ("climate", "0161/0002")):
        options = {**of_the_page(name), "hadd": hadd, "value_poll_0": "0.05", "value_max_1": "60"}
        if name == "relays":
            del options["value_max_1"]
        lines += [f"[rpii2c__{name}]", *(f"{key} = {text}" for key, text in options.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    with (
        Probe(broker.host, broker.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe,
        buses.serve(path) as server,
    ):
        requester = Requester(probe)
        wait_heartbeats(probe, ["0161/0001", "0161/0002"], NodeState.ONLINE)
        assert requester.write("0161/0001", "level", "5", Genre.USER, cmd_class=1)["data"] == "5"
        assert buses.sent("i2c-1-20") == ["f5"]
        known = requester.discover("basics", "0161/0000")["0161/0002"]["value"]
        assert [(known[index]["data"], known[index]["units"]) for index in ("0", "1")] == [(25, "°C"), (50, "%")]
        since = len(probe.messages)
        # 75 %, which its own limit does not let through.
        buses.plain(0x38, b"\x1c\xc0\x00\x06\x00\x00")
        wait_heartbeats(probe, ["0161/0002"], NodeState.OFFLINE, since=since)
        server.wait_err("75 cannot be: expected 60 or less (value_min, value_max_1)")
        assert requester.read("0161/0001", "level", Genre.USER, cmd_class=1)["data"] == "5"
        since = len(probe.messages)
        buses.plain(0x38, b"\x1c\x80\x00\x06\x00\x00")
        wait_heartbeats(probe, ["0161/0002"], NodeState.ONLINE, since=since)


@pytest.mark.parametrize("kind", [Ads1115, Pca9685, Mcp3208, AnyChip, AnyTransfer])
def test_the_lines_that_config_init_writes_can_be_read(kind: type[Device]) -> None:
    lines = {
        key.replace("<index>", "0"): option.example if option.default_text else default or ""
        for option in kind.schema().values()
        for key, default in option.lines()
        if not option.is_required
    }
    assert any(key.endswith("_0") for key in lines)
    assert kind.check_options({"address": "0x20", **lines}) == ()


NUMBERS = "plain 0x05 0x0130 0 u8 s16be u64le mask=0xf0 shift=4 at=1 scale=1/3 units=°C fault=1 ones=0x0f offset=-2"
WORDS = st.sampled_from([*NUMBERS.split(), "->", "none", "=", ",", "1=2", "nan", "scale=1e400"])


@given(st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=8).map(" ".join)))
def test_whatever_the_text_is_it_is_read_or_refused_with_what_is_expected(text: str) -> None:
    kinds: list[tuple[type[Device], dict[str, str]]] = [(AnyChip, {"address": "0x20"}), (AnyTransfer, {})]
    for kind, needed in kinds:
        for key in ("value_config_0", "level_config_0", "setup"):
            problems = kind.check_options({**needed, key: text})
            assert all(each.expected for each in problems)
            if not problems:
                kind(options={**needed, key: text})

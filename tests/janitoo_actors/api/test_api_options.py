"""Options of a driver that are no values: a host, a port, a password, a device."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import assert_type

import pytest

from janitoo_actors.api import (
    Applies,
    Bool,
    Bus,
    DevicePath,
    Hardware,
    Host,
    Instance,
    Number,
    Option,
    OptionProblem,
    OptionsError,
    Port,
    Secret,
    Setting,
    Text,
    Value,
    Whole,
)
from janitoo_actors.api.schema import option_of


class Nut(Bus):
    """A bus with a server, a user and a device of its own."""

    oid = "nut"
    requires = ("nut2",)
    host = Option(Host(), default="127.0.0.1", help="Where upsd is")
    port = Option(Port(), default=3493, help="Its port")
    ups = Option(Text(), help="The name of the UPS", example="eaton")
    password = Option(Secret(), default=None, help="The user's password")
    quick = Option(Bool(), key="quick_reads", default=False, help="Whether to hurry", applies=Applies.IN_PLACE)
    serial = Option(DevicePath(), default=Path("/dev/ttyUSB0"), help="The port of the UPS")
    pin = Setting[int]("config_byte", default=4, help="A pin", applies=Applies.RESTART_BUS)
    load = Value("sensor_float", help="The load", poll_delay=30)

    @load.reader
    def read_load(self, instance: Instance) -> float:
        """Read the load."""
        return float(instance.index)

    def takes(self) -> Iterable[Hardware]:
        """The serial port."""
        return [Hardware.serial(self.serial)]


class Slow(Nut):
    """A bus that has one option more, and another default."""

    port = Option(Port(), default=3494, help="Its port")
    step = Option(Number(0, 1), default=0.5, help="A step")


def test_defaults() -> None:
    bus = Nut(options={"ups": "eaton"})
    assert_type(bus.host, str)
    assert_type(bus.port, int)
    assert (bus.host, bus.port, bus.ups, bus.password, bus.quick) == ("127.0.0.1", 3493, "eaton", None, False)


def test_options_are_read_with_their_types() -> None:
    given = {"ups": "u", "host": "::1", "port": "1", "password": "s3cret", "quick_reads": "yes", "serial": "/dev/x"}
    bus = Nut("nut", {**given, "pin_0": "7", "hadd": "1/0"})
    assert (bus.host, bus.port, bus.password, bus.quick) == ("::1", 1, "s3cret", True)
    assert (bus.serial, bus.pin) == (Path("/dev/x"), 7)
    assert list(bus.takes()) == [Hardware.serial("/dev/x")]


def test_class_inherits_options() -> None:
    bus = Slow(options={"ups": "u", "host": "pi"})
    assert (bus.port, bus.step, bus.host) == (3494, 0.5, "pi")
    assert "step" not in Nut.schema()


def test_every_wrong_option_is_named_and_no_password_is_shown() -> None:
    options = {"host": "a b", "port": "0", "password": "s3\x00cret", "pin_0": "256"}
    problems = (
        OptionProblem("host", "a b", "the name or the address of a machine, as 192.168.1.4 or pi.example.org"),
        OptionProblem("port", "0", "a whole number, 1 to 65535"),
        OptionProblem("ups", None, "a text that is not empty: it must be there"),
        OptionProblem("password", "***", "a text of one line, without control characters"),
        OptionProblem("pin_0", "256", "a whole number from 0 to 255"),
    )
    assert Nut.check_options(options) == problems
    with pytest.raises(OptionsError) as failure:
        Nut("nut", options)
    assert failure.value.problems == problems
    assert "cret" not in str(failure.value)


def test_schema_says_how_a_change_is_applied() -> None:
    schema = Nut.schema()
    applies = {key: option.applies for key in schema if (option := option_of(schema, key)) is not None}
    assert applies["host"] is applies["pin_<index>"] is applies["password_file"] is Applies.RESTART_BUS
    assert applies["quick_reads"] is applies["load_poll_0"] is Applies.IN_PLACE


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("host", "host"),
        ("pin_0", "pin_<index>"),
        ("pin_17", "pin_<index>"),
        ("pin", None),
        ("load_poll_0", "load_poll_0"),
        ("load_poll_1", None),
        ("password_env", "password_env"),
        ("host_file", None),
        ("quick", None),
        ("", None),
    ],
)
def test_option_of_a_key(key: str, found: str | None) -> None:
    option = option_of(Nut.schema(), key)
    assert (option.key if option is not None else None) == found


def test_what_is_required_and_what_is_shown() -> None:
    schema = Nut.schema()
    assert [key for key, option in schema.items() if option.is_required] == ["ups"]
    assert schema["port"].shown_default == "3493"
    assert schema["quick_reads"].shown_default == "False"
    assert schema["password"].shown_default is None
    assert list(schema["pin_<index>"].lines()) == [("pin_0", "4")]


def test_declaration_is_what_the_class_has() -> None:
    assert isinstance(Nut.host, Option)
    assert isinstance(Nut.port.type, Whole)

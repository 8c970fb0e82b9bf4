"""The types of options: what they take, what they refuse, and that what they write is read back."""

from __future__ import annotations

import pickle
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from janitoo_actors.api.options import (
    Address,
    Bool,
    Choice,
    Duration,
    Line,
    Maybe,
    Memory,
    Names,
    Number,
    OptionType,
    Text,
    Whole,
)
from janitoo_actors.api.places import DevicePath, FilePath, Host, Port, Secret, SecretPath, SecretText
from janitoo_actors.protocol.hadd import Hadd

FOLDER = Path("/etc/janitoo")


class Mode(StrEnum):
    """The words of a choice."""

    BOARD = "BOARD"
    BCM = "bcm"


TYPES: dict[str, OptionType[Any]] = {
    "line": Line(),
    "text": Text(),
    "maybe": Maybe(Text()),
    "whole": Whole(-5, 1000),
    "port": Port(),
    "number": Number(),
    "temperature": Number(-40, 85.5),
    "duration": Duration(),
    "heartbeat": Duration(3000),
    "timeout": Duration(60, positive=True),
    "bool": Bool(),
    "choice": Choice(Mode),
    "host": Host(),
    "path": FilePath(),
    "secret path": SecretPath(),
    "device": DevicePath(),
    "secret": Secret(),
    "memory": Memory(),
    "much memory": Memory(48 << 20, "so"),
    "bus": Address(bus=True),
    "node": Address(),
    "names": Names(),
}
# What is nearly right, and what other types take.
WORDS = [
    "", "none", " None ", "0", "-0", "1", "60.0", "1e3", "1e400", "-1", "nan", "inf", "1_000", "٣", "0x10",
    "True", "off", "maybe", "board", "BCM", "64M", "48m", "1 GiB", "5KB", "12345678901234G", "1234567890123456",
    "0121/0000", "1/1", "0121/0001", "99999/1", "127.0.0.1", "::1", "[::1]", "[::1", "fe80::1%eth0", "256.1.1.1",
    "pi", "pi.example.org.", "-pi", "a..b", "_mqtt._tcp.pi", "x" * 64, "x." * 127, "mqtt://pi", "pi:1883",
    "~", "~/log", "./~", " ./ ~", "~nobody-here/x", "/dev/ttyUSB0", "a/b /.", "${CREDENTIALS_DIRECTORY}/x", "./$x",
    "a, b c", "a,,b", "a;b", "a\nb", "a\0b", "\ud800", "\u2028", "p%(x)s;#",
]  # fmt: skip
TEXTS = st.text() | st.sampled_from(WORDS) | st.floats().map(str) | st.integers().map(str) | st.ip_addresses().map(str)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
@given(text=TEXTS)
def test_any_text_is_data_that_are_written_and_read_back_or_a_sentence(kind: OptionType[Any], text: str) -> None:
    try:
        data = kind.parse(text, FOLDER)
    except ValueError as error:
        # Any other exception fails the test.
        said = str(error)
        assert said.startswith("expected ") or ": expected " in said
        return
    again = kind.text(data)
    assert kind.parse(again, FOLDER) == data
    assert kind.text(kind.parse(again, FOLDER)) == again
    # One line of an INI file, which the parser gives back as it is.
    assert again == again.strip()
    assert "\n" not in again


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_type_says_what_it_is_and_what_is_allowed(kind: OptionType[Any]) -> None:
    assert kind.name
    assert kind.allowed
    assert kind.limits in kind.allowed or isinstance(kind, Maybe)


def accepts(kind: OptionType[Any], text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


@given(st.integers() | st.integers(-10, 1010))
@example(-6)
@example(-5)
@example(1000)
@example(1001)
def test_whole_numbers_of_a_range_and_no_others(number: int) -> None:
    assert accepts(Whole(-5, 1000), str(number)) == (-5 <= number <= 1000)


@given(st.floats())
def test_numbers_of_a_range_and_no_others(number: float) -> None:
    assert accepts(Number(-40, 85.5), repr(number)) == (-40 <= number <= 85.5)


@given(st.floats() | st.floats(-1, 61))
@example(0.0)
@example(60.0)
def test_times_of_a_range_and_no_others(number: float) -> None:
    assert accepts(Duration(60), repr(number)) == (0 <= number <= 60)
    assert accepts(Duration(60, positive=True), repr(number)) == (0 < number <= 60)


@given(st.integers(0, 2**40))
def test_memory_from_the_least_on(number: int) -> None:
    assert accepts(Memory(48 << 20), str(number)) == (number >= 48 << 20)


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_addresses_are_of_a_bus_or_of_a_node(controller: int, node: int) -> None:
    text = f"{controller}/{node}"
    assert accepts(Address(bus=True), text) == (node == 0)
    assert accepts(Address(), text) == (node != 0)


@given(st.ip_addresses())
def test_every_address_is_a_host(address: Any) -> None:
    assert Host().parse(f" {address} ") == str(address)


@pytest.mark.parametrize(
    ("kind", "text", "data"),
    [
        (Line(), " a b ", "a b"),
        (Maybe(Text()), "None", None),
        (Whole(0, 9), "3.0", 3),
        (Duration(), "60.0", 60),
        (Bool(), " YES ", True),
        (Choice(Mode), "board", Mode.BOARD),
        (Host(), "broker.example.org", "broker.example.org"),
        (FilePath(), "log", Path("/etc/janitoo/log")),
        (FilePath(), "/log", Path("/log")),
        (DevicePath(), "/dev/i2c-1", Path("/dev/i2c-1")),
        (Secret(), "", None),
        (Secret(), "%(x)s;#None", "%(x)s;#None"),
        (Memory(), "64M", 64 << 20),
        (Memory(), "1 GiB", 1 << 30),
        (Address(bus=True), "121/0", Hadd(121, 0)),
        (Names(), "a, b c", ("a", "b", "c")),
        (Names(), "", ()),
    ],
)
def test_data(kind: OptionType[Any], text: str, data: Any) -> None:
    assert kind.parse(text, FOLDER) == data


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Choice(Mode), "boart", "expected BOARD or bcm; did you mean 'board'?"),
        (Port(), "0", "expected a whole number, 1 to 65535"),
        (Duration(positive=True), "0", "expected a number of seconds, more than 0"),
        (Host(), "mqtt://pi:1883", "; a port and a protocol have keys of their own"),
        (Host(), "192.168.1.300", "expected the name or the address of a machine"),
        (DevicePath(), "dev/ttyUSB0", "expected an absolute path, as /dev/ttyUSB0"),
        (Memory(48 << 20, "Python needs some"), "1M", "48M or more: Python needs some"),
        (Address(bus=True), "121/1", "expected the address of a bus, which ends in 0000, as 0121/0000"),
        (Address(), "121/0", "0000 is the bus itself: expected the address of a node, as 0121/0001"),
    ],
)
def test_refusal(kind: OptionType[Any], text: str, said: str) -> None:
    with pytest.raises(ValueError, match="expected") as failure:
        kind.parse(text, FOLDER)
    assert said in str(failure.value)


def test_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert FilePath().parse("~/log", FOLDER) == Path("/home/me/log")
    assert DevicePath().parse("~/dev") == Path("/home/me/dev")


def test_credentials_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ValueError, match="expected LoadCredential= in the unit"):
        SecretPath().parse("${CREDENTIALS_DIRECTORY}/mqtt", FOLDER)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/janitoo@x.service")
    assert SecretPath().parse("${CREDENTIALS_DIRECTORY}/mqtt", FOLDER) == Path(
        "/run/credentials/janitoo@x.service/mqtt"
    )


def test_password_does_not_show_itself() -> None:
    password = Secret().parse("s3cret")
    assert password is not None
    assert "s3cret" not in repr([password, {"key": password}, (password,)])
    # It is the text, for whoever needs it; in a process of its own, too.
    assert password == "s3cret"
    copy = pickle.loads(pickle.dumps(password))
    assert (copy, type(copy), repr(copy)) == ("s3cret", SecretText, "'***'")


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (FilePath(), "evening.txt", "/etc/house/evening.txt"),
        (FilePath(), " /srv/evening.txt ", "/srv/evening.txt"),
        (FilePath(), "", ""),
        (Maybe(FilePath()), "evening.txt", "/etc/house/evening.txt"),
        (Maybe(FilePath()), "None", "None"),
        (Maybe(Host()), "broker", "broker"),
        # Which is refused, and not made something else.
        (DevicePath(), "ttyUSB0", "ttyUSB0"),
        (SecretPath(), "${CREDENTIALS_DIRECTORY}/password", "${CREDENTIALS_DIRECTORY}/password"),
        (SecretPath(), "password", "/etc/house/password"),
    ],
)
def test_a_driver_knows_of_no_folder(kind: OptionType[Any], text: str, expected: str) -> None:
    assert kind.located(text, Path("/etc/house")) == expected

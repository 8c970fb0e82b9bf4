"""Configuration files with one known mistake each, and where it is. For the drivers of `example_drivers`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Expected:
    """What is to be said of a file.

    Attributes:
        section, key: where, as far as the mistake is in one.
        says: a part of the sentence.
        severity: `error` or `warning`.
        line: of the mistake, from 1.
        follows: whether it brings further findings with it.
    """

    line: int
    section: str | None
    key: str | None
    says: str
    severity: str = "error"
    follows: bool = False


@dataclass
class File:
    """A file on its way to be broken: lines, and the section and the key of each."""

    lines: list[str] = field(default_factory=list)
    places: list[tuple[str, str] | None] = field(default_factory=list)

    def add(self, line: str, section: str = "", key: str = "") -> None:
        """Add a line at the end."""
        self.lines.append(line)
        self.places.append((section, key) if section else None)

    def insert(self, at: int, line: str) -> int:
        """Insert a line after the line of this number; its own number."""
        self.lines.insert(at, line)
        self.places.insert(at, None)
        return at + 1

    def line(self, section: str, key: str = "") -> int:
        """The number of a line, from 1."""
        return self.places.index((section, key)) + 1

    def set(self, section: str, key: str, value: str) -> int:
        """Give a key another value; the number of its line."""
        number = self.line(section, key)
        self.lines[number - 1] = f"{key} = {value}"
        return number

    def keys(self, wanted: str) -> list[str]:
        """The sections that have a key."""
        return [place[0] for place in self.places if place is not None and place[1] == wanted]

    def text(self) -> str:
        """The file."""
        return "\n".join(self.lines) + "\n"


def good_file(chance: random.Random) -> File:
    """A file without a mistake, as somebody may write one."""
    file = File()

    def section(header: str, **options: str) -> None:
        for _ in range(chance.randrange(3)):
            file.add(chance.choice(["", "# a comment", "; key = value", "#[section]"]))
        file.add(f"[{header}]", header)
        for key, text in options.items():
            if chance.random() < 0.2:
                file.add(chance.choice(["", "# another comment", "#heartbeat = often"]))
            key_text = key.replace("__dot__", ".")
            file.add(f"{key_text}{chance.choice([' = ', '=', ': '])}{text}", header, key_text)

    system = {"service": "jnt", "broker_port": "1883", "broker_keepalive": "60", "max_backoff": "30"}
    section("system", **system, log_format="json", broker_ip="127.0.0.1", broker_user="me")
    first = chance.randrange(1, 4000)
    for number in range(chance.randrange(1, 4)):
        bus, controller = f"bus{number}", first + number
        names = [f"ups{each}" for each in range(chance.randrange(2, 4))]
        components = {f"components__dot__{name}": "nut.ups" for name in names}
        options = {"oid": "nut", "hadd": f"{controller:04d}/0000", "heartbeat": "30", "location": "Attic"}
        section(bus, auto_start="True", **options, isolation="thread", port_0="3493", **components)
        for node, name in enumerate(names, start=1):
            polls = {"charge_poll_0": str(chance.randrange(1, 99)), "load_poll_0": "60"}
            instances = {"load_config_0": "1", "load_config_1": "5"}
            own = {"hadd": f"{controller:04d}/{node:04d}", "name": f"UPS {node}", "config_timeout": "3"}
            section(f"{bus}__{name}", **own, **polls, **instances, device_0="eaton")
    return file


Mistake = Callable[[File, random.Random], Expected]


def _value(key: str, values: list[str], says: str, section: str | None = None) -> Mistake:
    """A value that is none of its key's."""

    def make(file: File, chance: random.Random) -> Expected:
        where = section if section is not None else chance.choice(file.keys(key))
        return Expected(file.set(where, key, chance.choice(values)), where, key, says)

    return make


def _misspelt(key: str, wrong: str, section: str | None = None) -> Mistake:
    def make(file: File, chance: random.Random) -> Expected:
        where = section if section is not None else chance.choice(file.keys(key))
        line = file.line(where, key)
        file.lines[line - 1] = file.lines[line - 1].replace(key, wrong, 1)
        return Expected(line, where, wrong, f"did you mean '{key}'?", "warning")

    return make


def _added(section: str, line: str, key: str, says: str, severity: str) -> Mistake:
    def make(file: File, _chance: random.Random) -> Expected:
        return Expected(file.insert(file.line(section), line), section, key, says, severity)

    return make


def _nodes(file: File) -> list[str]:
    return [section for section in file.keys("hadd") if "__" in section]


def _missing_address(file: File, chance: random.Random) -> Expected:
    # Without those of its components, or with lease = True, it would be asked of a primary.
    bus = chance.choice(file.keys("auto_start"))
    at = file.line(bus, "hadd") - 1
    del file.lines[at], file.places[at]
    return Expected(file.line(bus), bus, "hadd", "write the address of the bus, as hadd = ")


def _same_bus_address(file: File, chance: random.Random) -> Expected:
    bus = chance.choice(file.keys("auto_start"))
    hadd = file.lines[file.line(bus, "hadd") - 1].split("/")[0][-4:]
    file.add("[another]", "another")
    file.add("oid = nut")
    file.add("auto_start = yes")
    file.add(f"hadd = {hadd}/0", "another", "hadd")
    return Expected(len(file.lines), "another", "hadd", f"the bus [{bus}] has this address already")


def _same_node_address(file: File, chance: random.Random) -> Expected:
    bus = chance.choice(file.keys("auto_start"))
    controller = file.lines[file.line(bus, "hadd") - 1].split("/")[0][-4:]
    line = file.set(f"{bus}__ups1", "hadd", f"{controller}/0001")
    return Expected(line, f"{bus}__ups1", "hadd", f"[{bus}__ups0] has this address already")


def _unknown_component(file: File, chance: random.Random) -> Expected:
    bus = chance.choice(file.keys("auto_start"))
    line = file.set(bus, "components.ups0", "nut.upps")
    return Expected(line, bus, "components.ups0", "did you mean 'nut.ups'?")


def _misspelt_component_section(file: File, chance: random.Random) -> Expected:
    section = chance.choice(_nodes(file))
    line = file.line(section)
    wrong = section.replace("__ups", "__upps")
    file.lines[line - 1] = f"[{wrong}]"
    bus, _, name = section.partition("__")
    return Expected(line, wrong, None, f"the bus [{bus}] has no component 'u{name[1:2]}ps{name[-1]}'", "warning")


def _unknown_section(file: File, chance: random.Random) -> Expected:
    name, says = chance.choice(
        [("hostsensr", "did you mean 'hostsensor'?"), ("zigbee", "nothing reads this section"), ("webapp", "original")]
    )
    file.add(f"[{name}]")
    line = len(file.lines)
    file.add("key = value")
    return Expected(line, name, None, says, "warning")


def _key_twice(file: File, chance: random.Random) -> Expected:
    section, key = chance.choice([place for place in file.places if place is not None and place[1]])
    first = file.line(section, key)
    line = file.insert(first, f"{key.upper()} = x")
    return Expected(line, section, key, f"it is already in line {first}")


def _section_twice(file: File, chance: random.Random) -> Expected:
    section = chance.choice([place[0] for place in file.places if place is not None and not place[1]])
    file.add(f"[{section}]")
    return Expected(len(file.lines), section, None, f"this section is already in line {file.line(section)}")


def _no_delimiter(file: File, chance: random.Random) -> Expected:
    section, key = chance.choice([place for place in file.places if place is not None])
    line = file.insert(file.line(section, key), chance.choice(["heartbeat 30", "[nut", "hello world", "]"]))
    return Expected(line, None, None, "expected [section], key = value, or a comment")


def _before_any_section(file: File, _chance: random.Random) -> Expected:
    file.insert(0, "broker_port = 1883")
    return Expected(1, None, None, "no section before it")


def _no_utf8(file: File, chance: random.Random) -> Expected:
    section = chance.choice(_nodes(file))
    # What `encode` below makes a byte that is no UTF-8 of.
    line = file.set(section, "name", "caf\udce9")
    return Expected(line, None, None, "byte 0xe9 is no UTF-8")


def _gap(file: File, chance: random.Random) -> Expected:
    section = chance.choice(file.keys("load_config_1"))
    line = file.line(section, "load_config_1")
    file.lines[line - 1] = "load_config_2 = 5"
    return Expected(file.line(section), section, "load_config_1", "expected it to be there, as load_config_2 is")


def _default_section(file: File, chance: random.Random) -> Expected:
    bus = chance.choice(file.keys("auto_start"))
    at = file.line(bus, "heartbeat") - 1
    del file.lines[at], file.places[at]
    file.add("[DEFAULT]")
    file.add("heartbeat = often")
    return Expected(len(file.lines), bus, "heartbeat", "expected a number of seconds, 0 to 3000", follows=True)


def _two_lines(file: File, chance: random.Random) -> Expected:
    section = chance.choice(_nodes(file))
    line = file.line(section, "name")
    file.insert(line, "   and more of it")
    return Expected(line, section, "name", "expected a text of one line")


MISTAKES: dict[str, Mistake] = {
    "port": _value("broker_port", ["0", "65536", "mqtt", "", "-1", "1883 # mqtt"], "a whole number, 1 to 65535"),
    "keepalive": _value("broker_keepalive", ["soon", "70000", "1.5"], "a whole number, 0 to 65535"),
    "backoff": _value("max_backoff", ["0", "never", "nan", "inf", "-1"], "a number of seconds, more than 0"),
    "log format": _value("log_format", ["jsn", "JSONN", "json, console"], "expected console or json"),
    "host": _value("broker_ip", ["mqtt://pi", "my broker", "192.168.1.300", ""], "the name or the address of a machi"),
    "service": _value("service", ["", "\x07"], "expected a text"),
    "address of a bus": _value("hadd", ["121", "0121-0000", "x", "0121/0001", ""], "the address of a", "bus0"),
    "heartbeat": _value("heartbeat", ["often", "3001", "-1", "1 min"], "a number of seconds, 0 to 3000"),
    "auto start": _value("auto_start", ["maybe", "Ture", "2", ""], "expected True or False"),
    "isolation": _value("isolation", ["proces", "fork"], "expected thread or process"),
    "setting": _value("port_0", ["0", "65536", "x"], "expected"),
    "poll": _value("load_poll_0", ["often", "-1", "nan", ""], "a number of seconds, 0 or more"),
    "instance": _value("load_config_1", ["7", "", "five"], "expected 1, 5 or 15"),
    "address of a node": _value("hadd", ["0001", "x/y", "1/2/3", ""], "the address of a node", "bus0__ups0"),
    "address of the bus": _value("hadd", ["0001/0000", "9/0"], "0000 is the bus itself", "bus0__ups0"),
    "address elsewhere": _value("hadd", ["9999/0001", "9998/7"], "an address of another controller", "bus0__ups0"),
    "control character": _value("name", ["a\x07b", "\x1b[2J"], "expected a text of one line"),
    "driver": _value("oid", ["nutt", "nu"], "did you mean 'nut'?"),
    "secret file": _added(
        "system", "broker_password_file = no/such", "broker_password_file", "expected a file with the pass", "error"
    ),
    "variable": _added(
        "system", "broker_password_env = NO_SUCH_VAR", "broker_password_env", "a variable of the environment", "error"
    ),
    "memory": _added("bus0", "memory_max = 64M", "memory_max", "expected isolation = process beside it", "error"),
    "certificate": _added(
        "system", "broker_ca_file = no.crt", "broker_ca_file", "expected a file with the ce", "error"
    ),
    "deprecated": _added("system", "slow_start = 0.5", "slow_start", "none waits for another", "warning"),
    "deprecated in a bus": _added("bus0", "hourly_timer = 1", "hourly_timer", "nothing reads this key of", "warning"),
    "key of the system": _misspelt("broker_keepalive", "broker_keepaliv", "system"),
    "key of a bus": _misspelt("heartbeat", "hartbeat"),
    "key of a component": _misspelt("config_timeout", "confg_timeout"),
    "poll delay": _misspelt("charge_poll_0", "charg_poll_0"),
    "setting of a component": _misspelt("device_0", "devise_0"),
    "no address": _missing_address,
    "two buses": _same_bus_address,
    "two nodes": _same_node_address,
    "component": _unknown_component,
    "section of a component": _misspelt_component_section,
    "section": _unknown_section,
    "key twice": _key_twice,
    "section twice": _section_twice,
    "no delimiter": _no_delimiter,
    "before any section": _before_any_section,
    "no UTF-8": _no_utf8,
    "gap": _gap,
    "default section": _default_section,
    "two lines": _two_lines,
}
"""By what is wrong."""


def broken_file(mistake: str, seed: int) -> tuple[bytes, Expected]:
    """A file with this mistake, and what is to be said of it."""
    chance = random.Random(f"{mistake} {seed}")
    file = good_file(chance)
    expected = MISTAKES[mistake](file, chance)
    return file.text().encode("utf-8", "surrogateescape"), expected

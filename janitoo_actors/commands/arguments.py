"""The arguments that the tools share, and what their texts are read into. Pure functions."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final, TypeVar

from janitoo_actors.protocol.codes import CommandClass, Genre, ValueType
from janitoo_actors.protocol.hadd import Hadd

DEFAULT_TIMEOUT: Final = 5.0
"""Seconds. The longest wait for an answer where nobody answers; an answer ends the wait at once."""

LONGEST_TIMEOUT: Final = 86400
"""Seconds; the sockets of some systems take no more than a few weeks."""

DEFAULT_REPLY_HADD: Final = Hadd(9999, 9990)
"""Where the original's tools let themselves be answered."""

_HIGHEST_PORT: Final = 65535
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_Code = TypeVar("_Code", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """How a tool reaches the broker.

    Attributes:
        timeout: seconds that each of its answers may take.
        ca_file: the authority's certificate; TLS where it is given.
        from_file: whether it is that of a configuration file, and not of arguments.
    """

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    ca_file: Path | None
    timeout: float
    from_file: bool = False

    def named(self, argument: str) -> str:
        """What a person calls a part of it: `--host`, or `broker_ip` in a file."""
        if not self.from_file:
            return f"--{argument}"
        return "broker_ip" if argument == "host" else f"broker_{argument.replace('-', '_')}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def add_broker_arguments(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    """Add the arguments that say where the broker is.

    Args:
        parser: where to add them.
        needed: False for a command that asks nobody: it accepts them, as all the tools do, without showing them.
    """
    group = parser.add_argument_group("broker") if needed else parser

    def text(shown: str) -> str:
        return shown if needed else argparse.SUPPRESS

    group.add_argument("--host", default="127.0.0.1", help=text("its name or address (%(default)s)"))
    group.add_argument("--port", type=port, default=1883, help=text("its port (%(default)s)"))
    group.add_argument("--user", help=text("the user to connect as"))
    group.add_argument("--password", help=text("that user's password"))
    group.add_argument(
        "--ca-file", type=Path, metavar="FILE", help=text("speak TLS; FILE has the authority's certificate")
    )
    group.add_argument(
        "--timeout",
        type=positive_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=text("the longest wait where nobody answers (%(default)g)"),
    )
    group.add_argument(
        "--myhadd",
        type=hadd,
        default=DEFAULT_REPLY_HADD,
        metavar="CCCC/NNNN",
        help=text("the address to be answered at (%(default)s)"),
    )


def add_output_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--output`."""
    parser.add_argument("--output", choices=("txt", "raw", "json"), default="txt", help="how to print (%(default)s)")


def broker_address(args: argparse.Namespace) -> BrokerAddress:
    """What the arguments of `add_broker_arguments` say."""
    return BrokerAddress(args.host, args.port, args.user, args.password, args.ca_file, args.timeout)


def hadd(text: str) -> Hadd:
    """Read an address, for argparse."""
    try:
        return Hadd.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def port(text: str) -> int:
    """Read a TCP port, for argparse."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected a number from 1 to {_HIGHEST_PORT}")
    return int(text)


def positive_seconds(text: str) -> float:
    """Read a time in seconds, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    # NaN is neither above nor below anything.
    if not 0 < number <= LONGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: expected seconds, above 0 and at most {LONGEST_TIMEOUT}"
        )
    return number


def whole_number(text: str) -> int:
    """Read a number from 0, for argparse."""
    if not (text.isascii() and text.isdigit() and len(text) < len(str(2**31))):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


def boolean(text: str) -> bool:
    """Read `True` or `False`, in any case, for argparse."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r}: expected True or False")


def genre(text: str) -> Genre:
    """Read a genre's name or number, for argparse."""
    return _code(Genre, text, "genre", "jnt_query genres")


def value_type(text: str) -> ValueType:
    """Read a value type's name or number, for argparse."""
    return _code(ValueType, text, "value type", "jnt_query types")


def command_class(text: str) -> int:
    """Read a command class, for argparse: decimal, 0x and hexadecimal, or its name.

    A number that has no name is accepted: other people's nodes may have classes of their own.
    """
    name = text.upper().removeprefix("COMMAND_")
    if name in CommandClass.__members__:
        return CommandClass[name]
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no command class: expected a name or a number that `jnt_query cmds` lists"
        )
    return number


def _code(codes: type[_Code], text: str, what: str, command: str) -> _Code:
    try:
        return codes(int(text, 0))
    except ValueError:
        pass
    try:
        return codes[text.upper()]
    except KeyError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no {what}: expected a name or a number that `{command}` lists"
        ) from None

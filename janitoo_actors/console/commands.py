"""The commands of the console: what each takes, what it asks the server, how that is printed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from janitoo_actors.commands.changes import NO_DIFFERENCE, NOTHING_CHANGED
from janitoo_actors.commands.tables import printable
from janitoo_actors.console import configuring, pages, words
from janitoo_actors.console.bundle import write_bundle
from janitoo_actors.console.screen import Screen
from janitoo_actors.console.session import (
    DONE,
    FAILED,
    TIMEOUT,
    Command,
    HelpShown,
    Session,
    UsageError,
    asking,
)
from janitoo_actors.suggest import did_you_mean

_ACTS: Final = ("restart", "stop", "start", "retry", "suspend", "resume")
LEVELS: Final = ("debug", "info", "warning", "error", "critical", "off")
_SILENCE: Final = 3700.0
"""Seconds that a stream may be silent: somewhat more than the longest."""


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}\n{self.format_usage().strip()}")

    def print_help(self, file: Any = None) -> NoReturn:  # noqa: ARG002 - as argparse calls it
        raise HelpShown(self.format_help())


def execute(session_of: Callable[[Screen], Session], given: list[str], *, as_json: bool) -> int:
    """Run one command; its exit code.

    Args:
        session_of: connects to the server; called once the command line is known to be right.

    Raises:
        UsageError, HelpShown: instead of running it.
        JanitooError: whatever goes wrong with the server.
    """
    name, arguments = find(given)
    args = parser_of(name).parse_args(arguments)
    screen = Screen(as_json=as_json or args.json)
    return COMMANDS[name].run(session_of(screen), args)


def find(given: list[str]) -> tuple[str, list[str]]:
    """The command, and its arguments. Raises UsageError."""
    if given[0] == "config" and len(given) > 1 and f"config {given[1]}" in COMMANDS:
        return f"config {given[1]}", given[2:]
    if given[0] in COMMANDS:
        return given[0], given[1:]
    two = given[0] == "config"
    name = " ".join(given[:2]) if two else given[0]
    hint = ("" if name == "config" else did_you_mean(name, COMMANDS)) or (
        "; there are: config show, diff, check, reload" if two else ""
    )
    raise UsageError(f"there is no command {printable(name[:80])!r}{hint or '; `help` lists them'}")


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    command = COMMANDS[name]
    parser = _Parser(prog=name, description=f"{command.summary[0].upper()}{command.summary[1:]}.", allow_abbrev=False)
    command.add(parser)
    parser.add_argument("--json", action="store_true", help="print for programs")
    return parser


def _nothing(_parser: argparse.ArgumentParser) -> None:
    pass


def _path(help_text: str, *, optional: bool = False) -> Callable[[argparse.ArgumentParser], None]:
    def add(parser: argparse.ArgumentParser) -> None:
        more: dict[str, Any] = {"nargs": "?", "default": "/"} if optional else {}
        parser.add_argument("path", metavar="PATH", help=help_text, **more)

    return add


_ACTOR: Final = "an actor: its path, a bus, an address or the uuid of a node, a value"
_VALUE: Final = "a value, as 0701/0001/temperature; or a node, or a bus, for all of it"


def _duration(text: str) -> float:
    try:
        return words.seconds_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: expected as 90, 90s, 10m, 2h") from None


def _acting(request: str) -> Command:
    summaries = {
        "restart": "end an actor, and have it started again",
        "stop": "end an actor, and leave it so",
        "start": "start an actor that is stopped",
        "retry": "start now what waits for its next start",
        "suspend": "hold back the polls of a value, a node, a bus",
        "resume": "let them go on",
        "clear": "forget errors and events",
    }
    optional = request == "clear"
    usage = f"{request} [PATH]" if optional else f"{request} PATH"

    def run(session: Session, args: argparse.Namespace) -> int:
        result = session.ask(request, path=args.path)
        if session.screen.as_json:
            session.screen.document(result)
        else:
            session.screen.line(f"{result['path']}: {result['done']}")
        return DONE if result["works"] else FAILED

    return Command(usage, summaries[request], _path(_ACTOR, optional=optional), run, "path")


# -- the commands that are more than one question ----------------------------------------------------------------------


def _add_tree(parser: argparse.ArgumentParser) -> None:
    _path(_ACTOR, optional=True)(parser)
    parser.add_argument("--depth", type=int, metavar="N", help="only so far below it")


def _poll(session: Session, args: argparse.Namespace) -> int:
    result = session.ask("poll", path=args.path)
    if session.screen.as_json:
        session.screen.document(result)
    else:
        pages.readings(session.screen, result)
    return FAILED if any(each["error"] for each in result["readings"]) else DONE


def _add_set(parser: argparse.ArgumentParser) -> None:
    _path("a value, as 0701/0001/state")(parser)
    parser.add_argument("value", metavar="VALUE", help="what to write: JSON, or a text")
    parser.add_argument("--index", type=int, default=0, metavar="N", help="which instance (%(default)s)")


def _set(session: Session, args: argparse.Namespace) -> int:
    # `ask` leaves out what is not given; here null is a value.
    value = words.json_or_text(args.value)
    result = session.control.ask("set", TIMEOUT, path=args.path, value=value, index=args.index)
    if session.screen.as_json:
        session.screen.document(result)
    else:
        session.screen.line(f"{result['path']}: {words.data(result['data'], result['units'])}")
    return DONE


def _add_trace(parser: argparse.ArgumentParser) -> None:
    _path(_ACTOR, optional=True)(parser)
    parser.add_argument("--type", metavar="TYPE", help="only messages of this type, as Read")
    parser.add_argument("--max", type=int, default=100, metavar="N", help="how many at most (%(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, metavar="N", help="how many a second (%(default)g)")
    parser.add_argument(
        "--for", dest="seconds", type=_duration, default=30.0, metavar="TIME", help="for how long (30s)"
    )


def _trace(session: Session, args: argparse.Namespace) -> int:
    asked = {key: getattr(args, key) for key in ("path", "type", "max", "rate", "seconds")}
    return _stream(session, "trace", pages.traced, asked)


def _add_logs(parser: argparse.ArgumentParser) -> None:
    _path(_ACTOR, optional=True)(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl+C")
    parser.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="how many of the last (%(default)s)")
    parser.add_argument("--level", choices=LEVELS[:-1], help="only these and worse")


def _logs(session: Session, args: argparse.Namespace) -> int:
    asked = {key: getattr(args, key) for key in ("path", "follow", "lines", "level")}
    return _stream(session, "logs", pages.event, asked, quiet=not args.follow)


def _stream(
    session: Session,
    request: str,
    page: Callable[[Screen, Mapping[str, Any]], None],
    asked: Mapping[str, Any],
    *,
    quiet: bool = False,
) -> int:
    given = {key: item for key, item in asked.items() if item is not None}
    stream = session.control.stream(request, _SILENCE, **given)
    while True:
        try:
            each = next(stream)
        except StopIteration as end:
            _end(session.screen, end.value, quiet=quiet)
            return DONE
        if session.screen.as_json:
            session.screen.item(each)
        else:
            page(session.screen, each)


def _end(screen: Screen, result: Mapping[str, Any], *, quiet: bool) -> None:
    if screen.as_json:
        screen.item(result)
    elif not quiet:
        pages.ended(screen, result)


def _add_log(parser: argparse.ArgumentParser) -> None:
    _path(_ACTOR)(parser)
    parser.add_argument(
        "level", metavar="LEVEL", choices=LEVELS, help="debug (with each message), …, error; off: as before"
    )
    parser.add_argument(
        "--for", dest="seconds", type=_duration, default=600.0, metavar="TIME", help="for how long (10m)"
    )


def _log(session: Session, args: argparse.Namespace) -> int:
    level = None if args.level == "off" else args.level
    # `ask` leaves out what is not given; here null means something.
    result = session.control.ask("log", TIMEOUT, path=args.path, level=level, seconds=args.seconds)
    if session.screen.as_json:
        session.screen.document(result)
    elif result["level"] is None:
        session.screen.line(f"{result['path']} is logged as before")
    else:
        session.screen.line(f"{result['path']} is logged at {result['level']} until {words.clock(result['until'])}")
    return DONE


def _health(session: Session, args: argparse.Namespace) -> int:  # noqa: ARG001 - as every command
    result = session.ask("health")
    if session.screen.as_json:
        session.screen.document(result)
    else:
        pages.health(session.screen, result)
    code: int = result["code"]
    return code


def _add_dump(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="the zip file to write")
    parser.add_argument("--force", action="store_true", help="write it where there is such a file already")


def _dump(session: Session, args: argparse.Namespace) -> int:
    parts = write_bundle(args.file, session.ask, force=args.force)
    if session.screen.as_json:
        session.screen.document({"file": str(args.file), "parts": parts})
    else:
        session.screen.line(
            f"{args.file}: {len(parts)} parts. Passwords are masked; look at the log before you pass it on."
        )
    return DONE


def _ping(screen: Screen, result: Mapping[str, Any]) -> None:
    up = words.age(result["up"])
    screen.line(
        f"{result['service']} (process {result['pid']}, release {result['release']}) runs {result['file']}: {up}"
    )


def _threads(session: Session, args: argparse.Namespace) -> int:
    return asking("threads", pages.threads, "path")(session, args)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", nargs="?", help="those of one bus only")


COMMANDS: Final[Mapping[str, Command]] = {
    "tree": Command(
        "tree [PATH]", "all actors, and how they are", _add_tree, asking("tree", pages.tree, "path", "depth"), "path"
    ),
    "status": Command(
        "status PATH", "a page on one actor", _path(_ACTOR), asking("status", pages.status, "path"), "path"
    ),
    "errors": Command(
        "errors [PATH]",
        "what has gone wrong, with tracebacks",
        _path(_ACTOR, optional=True),
        asking("errors", pages.errors, "path"),
        "path",
    ),
    "health": Command("health", "whether all is well: exit code 0, 1, 2", _nothing, _health),
    **{name: _acting(name) for name in ("restart", "stop", "start", "retry", "suspend", "resume", "clear")},
    "values": Command(
        "values [PATH]",
        "values, and how their polls go",
        _path(_VALUE, optional=True),
        asking("values", pages.values, "path"),
        "value",
    ),
    "poll": Command("poll PATH", "read now", _path(_VALUE), _poll, "value"),
    "set": Command("set PATH VALUE", "write, as over the air", _add_set, _set, "value"),
    "trace": Command("trace [PATH]", "the messages that actors handle", _add_trace, _trace, "path"),
    "logs": Command("logs [-f] [PATH]", "the log", _add_logs, _logs, "path"),
    "log": Command("log PATH LEVEL", "another level of the log, for a while", _add_log, _log, "path"),
    "mqtt": Command("mqtt", "the connections to the broker", _nothing, asking("mqtt", pages.mqtt)),
    "network": Command("network", "the part in the network", _nothing, asking("network", pages.network)),
    "config show": Command(
        "config show [SECTION]", "the configuration that runs", configuring.add_section, configuring.show, "section"
    ),
    "config diff": Command(
        "config diff", "what a reload would do", _nothing, configuring.changes("diff", NO_DIFFERENCE)
    ),
    "config check": Command("config check", "what is wrong with the file", _nothing, configuring.check),
    "config reload": Command(
        "config reload", "run what is in the file", _nothing, configuring.changes("reload", NOTHING_CHANGED)
    ),
    "threads": Command("threads [PATH]", "where the threads stand", _add_threads, _threads, "path"),
    "dump": Command("dump FILE", "all of it in a zip file, for help", _add_dump, _dump),
    "ping": Command("ping", "whether the server is there", _nothing, asking("ping", _ping)),
}


def overview() -> str:
    """The list of all commands; fits a screen of 80 columns and 24 lines."""
    lines = ["Commands (`help COMMAND` for more):", f"  {'|'.join(_ACTS)} PATH"]
    lines += [f"  {each.usage:<22} {each.summary}" for name, each in COMMANDS.items() if name not in _ACTS]
    return "\n".join(lines)

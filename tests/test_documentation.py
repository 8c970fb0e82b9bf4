"""The README, the pages in docs/ and the files in conf/, held to the code."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from brokers import BrokerFactory
from janitoo_actors.commands.run import STOP_TIMEOUT, Exit
from janitoo_actors.configuration.ini import ConfigurationFileError, parse
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.reference import reference
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.system import SystemSection
from tool_runs import start_program

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
CONFS = tuple(sorted((ROOT / "conf").glob("*.conf")))
UNIT = ROOT / "conf/janitoo@.service"
CONFIGURATION = ROOT / "docs/configuration.md"
REFERENCE = ROOT / "docs/reference.md"
TOOLS = ROOT / "docs/tools.md"

COMMANDS = ("run", "reload", "console", "top", "query", "network", "spy", "collect", "check", "config")
NAMES = frozenset({*COMMANDS, "node", "query", "show", "init", "diff", "leases"})
# How a command is shown: alone, after a prompt, from the folder of the virtual environment. What it says has a colon.
COMMAND = re.compile(
    r"(?:\$ )?(?:\.venv/bin/|/opt/janitoo/venv/bin/)?((?:jnt_[a-z]+|janitoo)(?: (?!(?:[a-z]+ ?)+: ).*)?)"
)
# Not a whole command: alternatives, or something left out.
INCOMPLETE = re.compile(r"\w\|\w|…|<")
SHELL = frozenset({"|", ">", "2>", "&", ";"})

# Where the paths in the pages may be: for users, not of whoever wrote them.
FOLDERS = frozenset({"boot", "dev", "etc", "home", "mnt", "proc", "run", "sys", "tmp", "usr", "var"})
# And what starts with a slash and is no file: topics, and places of actors.
# Topics, paths of actors, and "per second".
NO_FILES = frozenset(
    {"attic", "broadcast", "broker", "buses", "cellar", "control", "dhcp", "network", "nodes", "reload", "reply", "s"}
) | {"values"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: its file.
        line: where in the page.
        info: what stands behind the fence: `ini` a whole file; `ini fragment` a part of one; `ini wrong` a whole file,
            whose mistakes the page shows; `text` a screen; `yaml` a file of another program.
    """

    page: Path
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^( *)```([^\n`]*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[2].strip(), match[3])


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(info: str) -> list[Block]:
    return [block for block in BLOCKS if block.info == info]


def code(cell: str) -> str:
    """A cell without the marks of code."""
    return cell.replace("`", "")


# -- the reference ---------------------------------------------------------------------------------------------------


def test_the_reference_is_what_the_schema_says() -> None:
    # `make reference` writes it.
    assert REFERENCE.read_text(encoding="utf-8") == reference(Registry.installed())


@pytest.mark.parametrize("key", SystemSection.options)
def test_every_key_of_system_is_in_the_reference(key: str) -> None:
    assert f"| `{key}` | " in REFERENCE.read_text(encoding="utf-8")


# -- the INI files ---------------------------------------------------------------------------------------------------


def test_there_is_something_to_test() -> None:
    assert len(CONFS) >= 2
    assert [len(of(info)) >= 1 for info in ("ini", "ini fragment", "ini wrong", "python")] == [True] * 4
    # The one in sh is run with the tests of the simulator.
    known = {"", "ini", "ini fragment", "ini wrong", "mermaid", "python", "sh", "text", "yaml"}
    assert [f"{block}: {block.info}" for block in BLOCKS if block.info not in known] == []


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.name)
def test_file_in_conf_has_no_problem(path: Path) -> None:
    config = load(path, Registry.installed())
    assert config.problems == config.warnings == ()
    assert config.buses


@pytest.mark.parametrize("path", CONFS, ids=lambda path: path.name)
def test_file_in_conf_runs(path: Path, private_broker: BrokerFactory, free_port: int, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    port = free_port if "\nbroker = embedded\n" in text else private_broker().port
    copy = tmp_path / path.name
    # As it stands, but for what other tests and whoever runs them may use too.
    text = text.replace("broker_port = 1883", f"broker_port = {port}").replace("/tmp/janitoo", f"{tmp_path}/janitoo")
    copy.write_text(text, encoding="utf-8")
    server = start_program("run", str(copy))
    assert server.stdout is not None
    try:
        said = next((line for line in server.stdout if "nodes are online" in line), "")
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=10)
    finally:
        server.kill()
    match = re.match(r"(\d+) of (\d+) nodes are online", said)
    assert match is not None, errors
    assert (match[1], server.returncode) == (match[2], 0)


@pytest.mark.parametrize("block", of("ini"), ids=str)
def test_whole_file_of_a_page_has_no_problem(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_text(block.text, encoding="utf-8")
    config = load(path, Registry.installed())
    assert config.problems == config.warnings == ()
    assert config.buses


@pytest.mark.parametrize("block", of("ini fragment"), ids=str)
def test_part_of_a_file_is_an_ini_file_with_known_keys(block: Block) -> None:
    ini = parse(block.text.encode(), Path("my.conf"))
    assert set(ini.sections.get("system", {})) <= set(SystemSection.options)


@pytest.mark.parametrize("block", of("ini wrong"), ids=str)
def test_page_shows_every_mistake_of_a_wrong_file(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("my.conf")
    path.write_text(block.text, encoding="utf-8")
    try:
        config = load(path, Registry.installed())
    except ConfigurationFileError as error:
        problems = error.problems
    else:
        problems = (*config.problems, *config.warnings)
    assert problems
    text = block.page.read_text(encoding="utf-8")
    assert [str(problem) for problem in problems if str(problem) not in text] == []


# -- the commands ----------------------------------------------------------------------------------------------------


def parser_of(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, exit_on_error=False)
    import_module(f"janitoo_actors.commands.{name}").add_arguments(parser)
    return parser


def shown_commands() -> Iterator[tuple[str, str]]:
    """Where a command with arguments is shown, and the command."""
    for page in PAGES:
        # Without the screens, as many lines as they are.
        shown = re.sub(r"^```text\n.*?^```$", _blank, page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for number, line in enumerate(shown.splitlines(), start=1):
            for text in (line.strip(), *re.findall(r"`([^`]+)`", line)):
                match = COMMAND.fullmatch(text)
                # The name of a command alone is no command line.
                named = match is None or not set(match[1].split()[1:]) - NAMES
                if match is not None and not named and INCOMPLETE.search(match[1]) is None:
                    yield f"{page.name}:{number}", match[1]


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def arguments_of(command: str) -> tuple[str, list[str]]:
    """The command's module, and its arguments."""
    words = shlex.split(command)
    words = words[: next((place for place, word in enumerate(words) if word in SHELL), len(words))]
    program, *arguments = words
    return (arguments[0], arguments[1:]) if program == "janitoo" else (program.removeprefix("jnt_"), arguments)


@pytest.mark.parametrize(
    "command", [pytest.param(command, id=f"{where} {command}") for where, command in shown_commands()]
)
def test_command_is_understood(command: str) -> None:
    name, arguments = arguments_of(command)
    if name == "--version":
        return
    assert name in COMMANDS
    try:
        parser_of(name).parse_args(arguments)
    except (argparse.ArgumentError, SystemExit) as error:
        pytest.fail(f"{command}: {error}")


def test_commands_are_found() -> None:
    found = {arguments_of(command)[0] for _, command in shown_commands()}
    assert set(COMMANDS) <= found


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from options_of(sub)
        else:
            yield from (option for option in action.option_strings if option not in {"-h", "--help"})


def test_the_page_of_the_tools_has_every_argument_and_no_other() -> None:
    tables = re.findall(r"^\| (`-[^|]*`) \|", TOOLS.read_text(encoding="utf-8"), re.MULTILINE)
    explained = {option for cell in tables for option in code(cell).split(", ")}
    assert explained == {option for name in COMMANDS for option in options_of(parser_of(name))}


# -- the unit --------------------------------------------------------------------------------------------------------


def test_the_unit_starts_a_server_and_knows_its_exit_codes() -> None:
    unit = RawConfigParser(strict=False)
    # Keys of units are in upper and lower case.
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    service = unit["Service"]
    match = COMMAND.fullmatch(service["ExecStart"])
    assert match is not None
    name, arguments = arguments_of(match[1].replace("%i", "attic"))
    args = parser_of(name).parse_args(arguments)
    assert (args.file, args.quiet) == (Path("/opt/janitoo/etc/attic.conf"), True)
    match = COMMAND.fullmatch(service["ExecReload"])
    assert match is not None
    name, arguments = arguments_of(match[1].replace("%i", "attic"))
    assert (name, parser_of(name).parse_args(arguments).file) == ("reload", args.file)
    assert service["Restart"] == "on-failure"
    assert int(service["RestartPreventExitStatus"]) == Exit.CONFIG
    assert int(service["TimeoutStopSec"]) > STOP_TIMEOUT
    # The signal must not reach the embedded broker before the nodes have said that they are OFFLINE.
    assert (service["KillMode"], service["KillSignal"]) == ("mixed", "SIGTERM")
    assert str(args.file.parent) in service["ReadWritePaths"].split()
    # What servers know of each other is there, whoever has started them.
    assert "-/run/lock" in service["ReadWritePaths"].split()
    # All of them share it.
    assert (service["RuntimeDirectory"], service["RuntimeDirectoryPreserve"]) == ("janitoo", "yes")


# -- all of the pages ------------------------------------------------------------------------------------------------


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in slugs(target)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("path", [*PAGES, *CONFS, UNIT], ids=lambda path: path.name)
def test_paths_are_those_of_any_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"(?<![\w.~/*…>:}-])/[A-Za-z][\w.@-]*(?:/[\w.@-]+)*", text)
    strange = [each for each in found if not _is_for_anybody(each)]
    assert strange == []
    assert str(ROOT) not in text
    assert str(Path.home()) not in text


def _is_for_anybody(path: str) -> bool:
    _, first, *rest = path.split("/")
    if first == "home":
        # As an example of a disk, not of somebody.
        return not rest
    return first in FOLDERS | NO_FILES or path.startswith("/opt/janitoo")


@pytest.mark.parametrize("block", [block for block in of("python") if block.page.name == "supervisors.md"], ids=str)
def test_example_of_the_supervisors_prints_what_the_page_shows(block: Block) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    place = BLOCKS.index(block)
    assert done.stdout == BLOCKS[place + 1].text

"""The command line itself: names, arguments, help, code tables, start-up."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from janitoo_actors import __version__
from janitoo_actors.commands import main as program
from janitoo_actors.commands.main import main
from tool_runs import ROOT, Tool, run_program

CODES = json.loads((Path(__file__).parents[2] / "data" / "codes.json").read_text(encoding="utf-8"))
QUERY = ["query", "query", "--hadd", "0121/0000", "--genre", "config", "--uuid", "location", "--cmdclass", "112"]


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"janitoo {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["query"], ["spi"], ["query", "networks"], ["collect"]])
def test_wrong_commands(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert usage_error(capsys, *arguments).startswith("usage: janitoo")


def test_alone_it_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    said = usage_error(capsys)
    assert all(f"\n    {name} " in said for name in ("run", "console", "check", "config"))
    assert said.endswith("\njanitoo: expected one of these commands\n")


@pytest.mark.parametrize(("given", "said"), [("spi", "did you mean 'spy'?"), ("xyz", "expected one of run, reload, ")])
def test_a_command_that_there_is_not(capsys: pytest.CaptureFixture[str], given: str, said: str) -> None:
    error = usage_error(capsys, given)
    assert f"there is no command {given!r}" in error
    assert said in error


def test_help_names_a_page_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ([], ["run"], ["reload"], ["console"], ["top"], ["query"], ["network"], ["spy"], ["check"], ["config"]):
        with pytest.raises(SystemExit):
            main([*name, "--help"])
        pages = re.findall(r"docs/[a-z]+\.md", capsys.readouterr().out)
        assert pages
        assert all((ROOT / page).exists() for page in pages)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "node", "--hadd", "0121"], "--hadd: '0121' is no address: expected CCCC/NNNN"),
        (["query", "node"], "--hadd"),
        (["query", "network", "--myhadd", "x/y"], "--myhadd: 'x/y' is no address"),
        (["query", "network", "--port", "99999"], "--port: '99999' is no port"),
        (["query", "network", "--timeout", "nan"], "--timeout: 'nan' is no time"),
        (["query", "network", "--timeout", "0"], "--timeout: '0' is no time"),
        (["query", "network", "--vuuid", "request_info"], "--vuuid"),
        (["query", "network", "--output", "xml"], "--output"),
        ([*QUERY, "--genre", "confg"], "--genre: 'confg' is no genre"),
        ([*QUERY, "--genre", "9"], "--genre: '9' is no genre"),
        ([*QUERY, "--cmdclass", "COMMAND_NONE"], "--cmdclass: 'COMMAND_NONE' is no command class"),
        ([*QUERY, "--cmdclass", "-1"], "--cmdclass"),
        ([*QUERY, "--type", "integer"], "--type: 'integer' is no value type"),
        ([*QUERY, "--index", "-1"], "--index"),
        ([*QUERY, "--index", "one"], "--index: 'one': expected a whole number"),
        ([*QUERY, "--writeonly", "maybe"], "--writeonly: 'maybe': expected True or False"),
    ],
)
def test_wrong_arguments_are_named(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert said in usage_error(capsys, *arguments)


@pytest.mark.parametrize(
    ("name", "table", "digits"),
    [("cmds", "command_classes", 4), ("caps", "capabilities", 2), ("genres", "genres", 2), ("types", "value_types", 2)],
)
def test_code_tables(tool: Tool, name: str, table: str, digits: int) -> None:
    expected = [(code_name, int(code, 0)) for code, code_name in CODES[table].items()]

    text, raw, document = (tool("query", name, "--output", output) for output in ("txt", "raw", "json"))

    assert text.code == raw.code == document.code == 0
    assert text.lines[:2] == [name, "----------"]
    assert text.lines[2].split() == ["name", "hex", "decimal"]
    rows = [line.split() for line in text.lines[3:]]
    assert [(row[0], int(row[2])) for row in rows] == expected
    assert [row[1] for row in rows] == [f"0x{number:0{digits}x}" for _name, number in expected]
    assert [line.split() for line in raw.lines] == rows
    assert [(row["name"], row["decimal"]) for row in json.loads(document.out)[name]] == expected


def test_code_tables_accept_the_arguments_of_the_others(tool: Tool) -> None:
    assert tool("query", "genres", "--host", "no-such-host.invalid", "--timeout", "1").code == 0


@pytest.mark.parametrize("name", ["query", "spy", "collect"])
def test_the_commands_of_the_tutorial_are_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr(sys, "argv", [f"jnt_{name}", "--help"])

    with pytest.raises(SystemExit) as ended:
        getattr(program, f"jnt_{name}")()

    assert ended.value.code == 0
    assert f"usage: jnt_{name}" in capsys.readouterr().out


def test_run_is_left_to_its_own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Run:
        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            parser.add_argument("FILE")

        def run(self, args: argparse.Namespace) -> int:
            return 78 if args.FILE == "some.conf" else 0

    monkeypatch.setitem(sys.modules, "janitoo_actors.commands.run", Run())

    assert main(["run", "some.conf"]) == 78


@pytest.mark.parametrize(
    "arguments", ["query --help", "spy --help", "query cmds", "query node --hadd 1/0 --help", "collect --help"]
)
def test_nothing_is_imported_that_is_not_needed(arguments: str) -> None:
    code = (
        "import sys; from janitoo_actors.commands.main import main\n"
        f"try: main({arguments.split()!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'pykka', 'structlog', 'paho', 'ssl', 'psutil', 'supervisors', 'drivers', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_a_query_imports_no_runtime(free_port: int) -> None:
    code = (
        "import sys; from janitoo_actors.commands.main import main\n"
        f"main(['query', 'network', '--port', '{free_port}'])\n"
        "heavy = {'pykka', 'structlog', 'psutil', 'supervisors', 'drivers', 'janitoo_actors.runtime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_terminal_that_is_not_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")

    outcome = run_program("query", "network", "--host", "é.invalid")

    assert outcome.code == 1
    assert "\\xe9" in outcome.err
    assert "Traceback" not in outcome.err

"""`janitoo console` as a user types it: commands on a command line, and the prompt in a terminal."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration
from janitoo_actors.commands.main import main
from janitoo_actors.configuration.extras import install
from janitoo_actors.console.commands import COMMANDS, overview, parser_of
from janitoo_actors.control.client import Control, NoServerError, connect
from running_server import ServerProcess
from terminals import Terminal as Screen
from tool_runs import PROGRAM, ROOT, Outcome
from waiting import wait_for

Console = Callable[..., Outcome]


class Place:
    """A server in a process, as `janitoo run` starts it."""

    def __init__(self, path: Path, broker: Mosquitto) -> None:
        made = Configuration(path, broker, pid_dir=path, broker_user="me", broker_password="secret1")
        made.bus("one", ["by_option", "switch"], fault_0="raise", temperature_poll_0=0.5)
        made.bus("two", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.5)
        self.file = made.write()
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        self.process = ServerProcess(
            [sys.executable, "-m", "faulty_drivers", "run", str(self.file), "--quiet"], cwd=path, env=environment
        )

    def ask(self, request: str, **data: Any) -> Any:
        """Ask it as a program does."""
        with connect(self.file) as control:
            return control.ask(request, TIMEOUT, **data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("console"), broker)
    with made.process:

        def is_up() -> bool:
            try:
                nodes = made.ask("health")["figures"]
                failed = {each["event"] for each in made.ask("errors")["errors"]}
                # What is in another process is told once a second.
                shown = {each["path"] for each in made.ask("tree")["actors"]}
            except NoServerError:
                return False
            return bool(nodes["online"] == 4 and "read_failed" in failed and "/buses/two/bus" in shown)

        wait_for(is_up, TIMEOUT, lambda: made.process.both)
        yield made


@pytest.fixture
def console(place: Place, capsys: pytest.CaptureFixture[str]) -> Console:
    """Runs `janitoo console FILE` with a command."""

    def run(*words: str) -> Outcome:
        capsys.readouterr()
        code = main(["console", str(place.file), *words])
        done = capsys.readouterr()
        return Outcome(code, done.out, done.err)

    return run


PROMPT = r"test>\x1b\[5D\x1b\[6C"
"""An empty prompt: a space at its end is a movement of the cursor."""


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("ping", r"test \(process \d+, release .*\) runs .*server.conf: "),
        ("tree", r"(?m)^    two +running .* pid \d+$"),
        ("tree /buses/one/pollers", r"(?m)^  0701/0001/temperature +running"),
        ("tree one --depth 1", r"(?m)\A.*\n/buses/one .*\n  link .*\n  bus .*\n  nodes .*\n  pollers .*\n\Z"),
        (
            "status 0701/0001/temperature",
            r"(?s)configured  .*server.conf:\d+ \[one__by_option\] temperature_poll_0.*failed",
        ),
        ("status two", r"(?s)a process of its own, \d+.*0702/0001/temperature +20 °C"),
        ("errors", r"(?s)read_failed.*\n    the sensor is unplugged"),
        ("errors one", r"the sensor is unplugged"),
        ("values 0702/0001/temperature", r"0702/0001/temperature  20 °C +\d+m?s +every 0.5s"),
        ("poll two", r"0702/0001/temperature  +\d+m?s +20 °C"),
        ("set 0702/0001/state on", r"\A0702/0001/state: on\n\Z"),
        ("set 0702/0001/name 'My sensor'", r"\A0702/0001/name: My sensor\n\Z"),
        ("trace /buses/two/bus --max 2", r"(?s)Read\(.*2 shown: that is the most"),
        ("trace one --type Reading --max 1 --for 20s", r"Reading\(uuid='temperature'"),
        ("logs one -n 5", r"/buses/one/.*"),
        ("log one warning --for 1m", r"/buses/one is logged at warning until \d\d:\d\d:\d\d"),
        ("log one off", r"/buses/one is logged as before"),
        ("mqtt", r"(?m)^two +connected "),
        ("network", r"no role"),
        ("config show", r"(?s)\[system\].*broker_password = \*\*\*.*\[one__by_option\]"),
        ("config show one", r"\[one\]\n"),
        ("config diff", r"no difference"),
        ("config check", r"(?m)^0 errors, \d+ warnings: one, two would work$"),
        ("threads", r"(?s)server: control client.*two: "),
        ("suspend two", r"/buses/two: 2 polls are held back until `resume two`"),
        ("resume two", r"/buses/two: 2 polls go on"),
        ("restart /buses/two/bus", r"/buses/two/bus: it runs, after "),
        ("restart one__switch", r"/buses/one/nodes/0701/0002: it runs, after "),
        ("stop 0701/0002/state", r"stopped"),
        ("start 0701/0002/state", r"it runs"),
        ("clear two", r"/buses/two: \d+ errors? and the events of it are forgotten|0 errors"),
    ],
)
def test_command(words: str, shown: str, console: Console) -> None:
    done = console(*shlex.split(words))
    assert (done.code, done.err) == (0, "")
    assert re.search(shown, done.out), done.out
    assert "\x1b" not in done.out, "colours are for terminals"
    assert "secret1" not in done.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            "stat one",
            2,
            "there is no command 'stat'; did you mean 'stop'?|did you mean 'start'?|did you mean 'status'?",
        ),
        ("config shw", 2, "there is no command 'config shw'; did you mean 'config show'?"),
        ("config", 2, "there are: config show, diff, check, reload"),
        ("status", 2, "the following arguments are required: PATH"),
        ("status one two", 2, "unrecognized arguments: two"),
        ("tree --deep 1", 2, "unrecognized arguments: --deep"),
        ("trace --for never", 2, "'never' is no time: expected as 90, 90s, 10m, 2h"),
        ("log one loud", 2, "invalid choice: 'loud'"),
        ("status /buses/one/buss", 1, "there is no actor '/buses/one/buss'; did you mean '/buses/one/bus'?"),
        ("values 0701/0001/temp", 1, "there is no value '0701/0001/temp'; did you mean '0701/0001/temperature'?"),
        ("set 0701/0001/temperature 3", 1, "temperature is read-only"),
        ("retry two", 1, "/buses/two: it runs already"),
        ("stop /", 1, "/ is the server itself"),
        ("poll 0701/0001/name", 1, "there is nothing to read"),
        ("trace --max 0", 1, "max = 0: expected 1 to 10000"),
        ("config show on", 2, "there is no section 'on'; did you mean 'one'?"),
        ("dump /etc/passwd", 1, "/etc/passwd: there is a file of this name already"),
        ("dump /nowhere/at/all.zip", 1, "/nowhere/at/all.zip: cannot be written"),
    ],
)
def test_what_is_wrong_is_said(words: str, code: int, said: str, console: Console) -> None:
    done = console(*words.split())
    assert (done.code, done.out) == (code, "")
    assert any(each in done.err for each in said.split("|")), done.err
    assert "Traceback" not in done.err


def test_the_log_of_one_place_at_another_level(console: Console, place: Place) -> None:
    poller = "path=/buses/two/pollers/0702/0001/temperature"
    assert console("log", "two", "debug", "--for", "1m").code == 0
    wait_for(lambda: f"{poller} took=" in place.process.err, TIMEOUT, "the messages of the other process are logged")
    assert console("log", "two", "off").code == 0
    # What it is told after its end is not logged.
    wait_for(lambda: _is_quiet(place, poller), TIMEOUT, "it is as before")


def _is_quiet(place: Place, text: str) -> bool:
    before = place.process.err.count(text)
    reads = place.ask("values", path="0702/0001/temperature")["values"][0]["reads"]
    wait_for(
        lambda: place.ask("values", path="0702/0001/temperature")["values"][0]["reads"] > reads + 1, TIMEOUT, "it polls"
    )
    return place.process.err.count(text) == before


def test_health_is_for_monitoring(console: Console, place: Place) -> None:
    done = console("health")
    assert done.code == 1
    assert done.lines[0] == "warning: 4 of 5 nodes are online"
    assert "one__by_option is OFFLINE: temperature: the sensor is unplugged" in done.out
    assert json.loads(console("health", "--json").out)["code"] == 1
    assert main(["console", "--socket", f"{place.file}.none", "health"]) == 2
    assert main(["console", "--socket", f"{place.file}.none", "tree"]) == 1


@pytest.mark.parametrize(
    "words", ["ping", "tree", "status one", "errors", "values", "mqtt", "network", "threads", "config show", "poll two"]
)
def test_documents_for_programs(words: str, console: Console) -> None:
    done = console(*words.split(), "--json")
    assert done.code == 0
    assert isinstance(json.loads(done.out), dict)


def test_streams_and_errors_for_programs(console: Console) -> None:
    lines = [json.loads(line) for line in console("trace", "two", "--max", "2", "--json").lines]
    assert [set(each) >= {"path", "type"} for each in lines] == [True, True, False]
    assert lines[-1]["ended"] == "max"
    done = console("status", "nobody", "--json")
    assert (done.code, json.loads(done.out)["error"]["code"]) == (1, "refused")


def test_reload_and_a_file_with_mistakes(console: Console, place: Place) -> None:
    text = place.file.read_text(encoding="utf-8")
    try:
        place.file.write_text(text.replace("[one]", "[one]\nname = Changed"), encoding="utf-8")
        assert "Changed" in console("config", "diff").out
        assert "Changed" in console("config", "reload").out
        place.file.write_text(text.replace("hadd = 0701/0001", "hadd = 1"), encoding="utf-8")
        done = console("config", "diff")
        assert done.code == 78
        assert "hadd = '1'" in done.err
        assert "the file has 1 mistake" in done.err
        # The same words and exit code as those of `janitoo check`.
        done = console("config", "check")
        offline = subprocess.run(
            [sys.executable, "-m", "faulty_drivers", "check", str(place.file)],
            cwd=place.file.parent,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
        assert (done.code, done.out) == (offline.returncode, offline.stdout)
        assert done.code == 1
        assert "hadd = '1'" in done.out
        assert console("config", "check", "--json").code == 1
        place.file.write_text("[system\n", encoding="utf-8")
        done = console("config", "check")
        assert done.code == 78
        assert "the server would not start" in done.out
    finally:
        place.file.write_text(text, encoding="utf-8")
        console("config", "reload")


def test_the_bundle_has_everything_but_passwords(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "help.zip"
    done = console("dump", str(file))
    assert done.code == 0
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as bundle:
        parts = {name: bundle.read(name) for name in bundle.namelist()}
    documents = {name: json.loads(part) for name, part in parts.items()}
    names = ("about", "machine", "health", "tree", "values", "errors", "log", "mqtt", "network", "threads", "config")
    assert {f"{name}.json" for name in names} <= set(documents)
    assert {"status/buses-one.json", "status/buses-two.json"} <= set(documents)
    assert documents["config.json"]["sections"]["system"]["broker_password"] == "***"
    assert not any(b"secret1" in part for part in parts.values())
    assert documents["machine.json"]["packages"]["pykka"]


def test_help_fits_a_screen() -> None:
    lines = overview().splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", overview()), name
        text = parser_of(name).format_help().splitlines()
        assert len(text) <= 24, name
        assert all(len(line) <= 80 for line in text), name


def test_commands_from_a_pipe(place: Place) -> None:
    done = subprocess.run(
        [*PROGRAM, "console", str(place.file)],
        input="# what there is\nping\n\nstatus nobody\nping\nquit\ntree\n",
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.count("runs ") == 2
    assert "there is no actor 'nobody'" in done.stderr
    assert "ACTOR" not in done.stdout


def test_the_only_server_is_found(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "janitoo").mkdir()
    with connect(place.file) as control:
        real = control.path
    (tmp_path / "janitoo" / "one.sock").symlink_to(real)
    code = main(["console", "ping"])
    done = capsys.readouterr()
    # There may be another one on the machine that runs the tests.
    assert (code == 0 and str(place.file) in done.out) or "servers are running: say which by its file" in done.err
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    main(["console", "--socket", str(real), "ping"])
    assert str(place.file) in capsys.readouterr().out


@pytest.mark.parametrize(("library", "words"), [("rich", ["ping"]), ("prompt_toolkit", [])])
def test_without_its_extra_it_says_what_to_install(library: str, words: list[str], place: Place) -> None:
    done = _without(library, place, *words)
    assert done.returncode == 1
    assert done.stderr.endswith(f"needs {library}: install it with: {install('console')}\n")


def test_a_command_needs_no_library_of_the_prompt(place: Place) -> None:
    done = _without("prompt_toolkit", place, "ping")
    assert (done.returncode, done.stderr) == (0, "")


def _without(library: str, place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.modules['{library}'] = None\nfrom janitoo_actors.commands.main import main\nsys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "console", str(place.file), *words],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


def test_the_words_of_a_command_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    # Options may follow the file.
    assert main(["console", str(place.file), "--json", "ping"]) == 0
    assert json.loads(capsys.readouterr().out)["service"] == "test"
    for words in (["--help"], ["-h"], ["help"]):
        assert main(["console", str(place.file), *words]) == 0
        assert "whether the server is there" in capsys.readouterr().out
    assert main(["console", str(place.file), "set", "0702/0001/name", "null"]) == 1
    assert "name = None: expected a text" in capsys.readouterr().err


def test_a_file_with_the_name_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "help").touch()
    assert main(["console", "help"]) == 0
    assert "Commands" in capsys.readouterr().out


def test_a_server_is_as_light_as_before() -> None:
    code = (
        "import sys; import janitoo_actors.commands.run as run; run.standard_requests()\n"
        "print([name for name in ('prompt_toolkit', 'janitoo_actors.console') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=30, check=True
    )
    assert done.stdout == "[]\n"


# -- the prompt ------------------------------------------------------------------------------------------------------


class Terminal:
    """A terminal of 80 columns and 24 lines, with the prompt in it."""

    def __init__(self, place: Place, state: Path, **environment: str) -> None:
        self.child = pexpect.spawn(
            PROGRAM[0],
            [*PROGRAM[1:], "console", str(place.file)],
            cwd=str(ROOT),
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "XDG_STATE_HOME": str(state),
                # pexpect does not answer where the cursor is.
                "PROMPT_TOOLKIT_NO_CPR": "1",
                **environment,
            },
            encoding="utf-8",
            dimensions=(24, 80),
            timeout=TIMEOUT,
        )
        self.child.expect(PROMPT)

    def type(self, line: str, shown: str) -> str:
        """Type a line; what comes up to what is to be shown, and the next prompt."""
        self.child.send(f"{line}\r")
        self.child.expect(shown)
        before = f"{self.child.before}{self.child.after}"
        self.child.expect(PROMPT)
        return f"{before}{self.child.before}"

    def leave(self) -> int:
        """Press Ctrl+D; the exit code."""
        self.child.sendeof()
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus is not None
        return int(self.child.exitstatus)


@pytest.fixture
def terminal(place: Place, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(place, tmp_path)
    yield made
    made.child.close(force=True)


def test_a_session_at_the_prompt(terminal: Terminal, tmp_path: Path) -> None:
    colour = "\x1b["
    assert colour in terminal.type("tree one", "0701/0001/temperature")
    terminal.type("", "")
    terminal.type("statsu one", "did you mean 'status'")
    terminal.type("status 'one", "No closing quotation")
    terminal.type("status nobody", "there is no actor 'nobody'")
    terminal.type("help", "whether the server is there")
    terminal.type("help trace", "the messages|The messages")
    terminal.type("health", "4 of 5 nodes")
    assert terminal.leave() == 1, "that of the last command"
    history = (tmp_path / "janitoo/console_history").read_text(encoding="utf-8")
    assert "+tree one" in history
    assert (tmp_path / "janitoo/console_history").stat().st_mode & 0o077 == 0


def test_ctrl_c_ends_what_streams_and_not_the_prompt(terminal: Terminal) -> None:
    terminal.child.send("logs -f\r")
    terminal.child.expect("info|warning")
    terminal.child.sendintr()
    terminal.child.expect(PROMPT)
    terminal.child.send("half a line")
    terminal.child.sendintr()
    terminal.child.expect(PROMPT)
    terminal.type("ping", "runs ")
    assert terminal.leave() == 0


def test_completion_of_commands_paths_and_values(terminal: Terminal) -> None:
    terminal.child.send("sta\t")
    terminal.child.expect("status")
    terminal.child.send("tus /buses/two/l\t")
    terminal.child.expect("ink")
    terminal.child.send("\r")
    terminal.child.expect(r"/buses/two/link  \(")
    terminal.child.expect(PROMPT)
    terminal.child.send("values 0702/0001/temperature_\t")
    terminal.child.expect("poll")
    terminal.child.send("\r")
    terminal.child.expect("0702/0001/temperature_poll")
    terminal.child.expect(PROMPT)


def test_no_colour_where_nobody_wants_it(place: Place, tmp_path: Path) -> None:
    terminal = Terminal(place, tmp_path, NO_COLOR="1")
    try:
        shown = terminal.type("health", "4 of 5 nodes")
        # Movements of the prompt itself, but no colours of ours.
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m *warning", shown)
        assert terminal.leave() == 1
    finally:
        terminal.child.close(force=True)


def test_the_prompt_outlives_its_server(tmp_path: Path, broker: Mosquitto) -> None:
    place = Place(tmp_path, broker)
    with place.process:
        wait_for(lambda: _pings(place), TIMEOUT, lambda: place.process.both)
        terminal = Terminal(place, tmp_path)
        try:
            terminal.type("ping", "runs ")
            place.process.interrupt()
            terminal.type("ping", "has gone|no server of")
            terminal.type("tree", "no server of|start it with")
            assert terminal.leave() == 1
        finally:
            terminal.child.close(force=True)


def _pings(place: Place) -> bool:
    try:
        return bool(place.ask("ping"))
    except NoServerError:
        return False


def test_a_server_that_is_killed_in_the_middle_of_a_stream_and_comes_back(tmp_path: Path, broker: Mosquitto) -> None:
    place = Place(tmp_path, broker)
    with place.process:
        wait_for(lambda: _pings(place), TIMEOUT, lambda: place.process.both)
        terminal = Terminal(place, tmp_path)
        terminal.child.send("logs -f\r")
        terminal.child.expect("mqtt_connected|bus_started")
        place.process.send(signal.SIGKILL)
        terminal.child.expect("the server of .* has gone")
        terminal.child.expect(PROMPT)
    try:
        terminal.type("tree", "no server of|start it with")
        # The same file, by another process: the session goes on.
        again = Place(tmp_path, broker)
        with again.process:
            wait_for(lambda: _pings(again), TIMEOUT, lambda: again.process.both)
            terminal.type("ping", "runs ")
            assert terminal.leave() == 0
    finally:
        terminal.child.close(force=True)


def test_a_server_of_another_release(place: Place, monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    real = Control.ask
    monkeypatch.setattr(
        Control, "ask", lambda *args, **data: {key: it for key, it in real(*args, **data).items() if key != "actors"}
    )
    done = console("tree")
    assert (done.code, done.out) == (1, "")
    assert "has no 'actors': it is of another release than this console; restart it" in done.err
    assert place.ask("ping")


def test_lines_that_cannot_be_kept_end_no_session(place: Place, tmp_path: Path) -> None:
    terminal = Terminal(place, tmp_path)
    try:
        history = tmp_path / "janitoo/console_history"
        terminal.type("ping", "runs ")
        # As on a disk that is full: it cannot be written any more.
        history.unlink()
        history.mkdir()
        terminal.type("ping", "runs ")
        assert terminal.leave() == 0
    finally:
        terminal.child.close(force=True)
    (tmp_path / "file").touch()
    terminal = Terminal(place, tmp_path / "file")
    try:
        terminal.type("ping", "runs ")
        assert terminal.leave() == 0
    finally:
        terminal.child.close(force=True)


def test_names_are_completed_not_only_paths(terminal: Terminal) -> None:
    for begun, rest in (
        ("status one__b\t", "y_option"),
        ("config show one__s\t", "witch"),
        ("poll tw\t", "o"),
        ("log one wa\t", "rning"),
        ("help config ch\t", "eck"),
    ):
        terminal.child.send(begun)
        terminal.child.expect(rest)
        terminal.child.sendintr()
        terminal.child.expect(PROMPT)


COMMANDS_OF_A_SESSION = (
    "ping", "tree", "status two", "status 0701/0001/temperature", "values", "errors", "health", "mqtt", "network",
    "threads two", "logs -n 5", "config show one", "config check", "trace two --max 1", "help", "poll two",
)  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "environment"),
    [
        (80, {}),
        (80, {"NO_COLOR": "1"}),
        (40, {}),
        (80, {"TERM": "dumb"}),
        (80, {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ],
    ids=str,
)
def test_every_page_in_every_terminal(columns: int, environment: dict[str, str], place: Place, tmp_path: Path) -> None:
    command = [*PROGRAM, "console", str(place.file)]
    given = {"XDG_STATE_HOME": str(tmp_path), "PROMPT_TOOLKIT_NO_CPR": "1", **environment}
    with Screen(command, env=given, columns=columns, cwd=ROOT) as screen:
        screen.wait_text("Ctrl+D leaves.", "test>")
        for number, line in enumerate(COMMANDS_OF_A_SESSION):
            screen.press(f"{line}\r")
            # What comes after it is at the end: all of it has been shown.
            screen.press(f"nothing{number}\r")
            screen.wait_text(f"'nothing{number}'")
        screen.press("quit\r")
        assert screen.wait_exit() == 2, "that of the last command"
        assert b"Traceback" not in screen.raw
        if "NO_COLOR" in environment or environment.get("TERM") == "dumb":
            assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m *(running|warning|ONLINE)", screen.raw)


def test_it_does_not_start_without_a_server(tmp_path: Path) -> None:
    assert main(["console", str(tmp_path / "no.conf"), "ping"]) == 1
    with pytest.raises(NoServerError):
        Control(tmp_path / "no.sock", "nobody")

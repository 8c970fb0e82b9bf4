"""`janitoo top` as a user meets it: on a pseudo-terminal, beside a running server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from brokers import BrokerFactory, Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, raises
from janitoo_actors.configuration.extras import install
from running_server import run_command, system_section
from supervisors import ChildSpec, LightActor, Supervisor, SupervisorFlags, start_child
from terminals import Terminal
from tool_runs import ROOT
from waiting import wait_for
from watched_server import Top, Watched, top_command

SENSOR = "/buses/one/pollers/0701/0001/temperature"


def select(terminal: Terminal, text: str, path: str) -> None:
    """Put the cursor on an actor, by a text that it is the last to have."""
    terminal.press("/", "\x15", text, "enter")
    terminal.wait(lambda screen: f"/{text} (" in screen and path.rpartition("/")[2] in screen, "what is looked for")

    def is_selected() -> bool:
        # Again: what a process of its own tells of may come a moment later, and is the last one then.
        terminal.press("end")
        return f" {path} " in terminal.text

    wait_for(is_selected, TIMEOUT, lambda: f"{path}; on the screen is:\n{terminal.text}", interval=0.2)


def test_the_tree_and_what_the_cursor_is_on(watched: Watched, top: Top) -> None:
    terminal = top()
    screen = terminal.wait(lambda text: re.search(r"\n  ▾ buses +running +0 +\d", text), "a rate")
    lines = screen.split("\n")
    assert lines[1].split() == ["ACTOR", "(4)", "STATE", "MAIL", "RATE/s", "ERR", "LATENCY", "RST"]
    assert [line.split()[:2] for line in lines[2:6]] == [["▾", "/"], ["▾", "buses"], ["▸", "one"], ["▸", "two"]]
    assert [line.split()[0] for line in lines[15:18]] == ["rate", "latency", "mailbox"]
    assert terminal.marked()[-1].startswith("▾ /"), "the cursor is on the first"
    assert all(len(line) <= 80 for line in lines)

    # Into the bus, down to its poller; what is below a bus is not shown before somebody wants it.
    assert "pollers" not in screen
    terminal.press("down", "down", "enter")
    terminal.wait_text("▸ pollers", "/buses/one ─ Supervisor")
    terminal.press("down", "down", "down", "down", "right")
    terminal.wait_text("0701/0001/tempera")
    terminal.press("down")
    screen = terminal.wait(lambda text: f"─ {SENSOR}" in text and re.search(r"rate +\d+\.\d+/s.*[▁▂▃▄▅▆▇█]", text), "")
    assert re.search(r"latency +[\d.]+ms.*[▁▂▃▄▅▆▇█]", screen)
    # Back to what is above, and shut.
    terminal.press("left")
    terminal.wait_text(" /buses/one/pollers ─")
    terminal.press("left")
    terminal.wait(lambda text: "0701/0001/tempera" not in text, "the pollers are hidden")
    assert set(watched.requests) == {"overview"}, "it asks for nothing else"
    terminal.press("q")
    assert terminal.wait_exit() == 0


def test_a_bus_that_fails_is_seen_and_why(watched: Watched, top: Top) -> None:
    watched.sensor.read = raises(OSError("the sensor is unplugged"), then=21.5)
    watched.sensor.wait_reads(2)
    terminal = top()
    terminal.press("E")
    terminal.wait_text("▼ERR")
    terminal.press("down", "down")
    terminal.wait_text("node_offline: temperature: the sensor is unplugged", "read_failed hadd='0701/0001'")
    terminal.press("e")
    terminal.wait_text("errors of /buses/one: ", SENSOR, "read_failed: the sensor is unplugged", "esc: back")
    terminal.press("escape")
    terminal.wait_text("q quit")


def test_nothing_is_done_without_a_yes(watched: Watched, top: Top) -> None:
    terminal = top()
    before = watched.server.incarnations("one")
    select(terminal, "temperature", "/buses/two/pollers/0702/0001/temperature")
    for key, question in (("r", "restart"), ("s", "suspend"), ("p", "poll")):
        for answer in ("n", "escape", "enter", "q", "x"):
            terminal.press(key)
            terminal.wait_text(f"{question} /buses/two/pollers/0702/0001/temperature? y/n", "Another key: nothing.")
            terminal.press(answer)
            terminal.wait_text("nothing was done")
    assert watched.server.incarnations("one") == before
    assert set(watched.requests) == {"overview"}


def test_restart(watched: Watched, top: Top) -> None:
    terminal = top()
    path = "/buses/one/bus"
    epoch = watched.actor(path).epoch
    terminal.press("down", "down", "enter")
    terminal.wait_text("▸ pollers")
    terminal.press("down", "down")
    terminal.wait_text(f" {path} ")
    # Faster than any screen: the answer is for the question.
    terminal.press("r", "y")
    terminal.wait_text(f"restart {path}: it runs")
    assert watched.actor(path).epoch > epoch
    terminal.wait(lambda text: re.search(r"\n +bus +running .* 1\n", text), "its restart is counted")


def test_suspend_resume_and_poll(watched: Watched, top: Top) -> None:
    terminal = top()
    select(terminal, "0701/0001/temp", SENSOR)
    terminal.press("s", "y")
    terminal.wait_text(f"\n1 poll is held back until `resume {SENSOR}`")
    terminal.wait(lambda text: re.search(r"0701/0001/t\S* +suspended", text), "it is shown")
    reads = watched.sensor.reads[0]
    terminal.press("p", "y")
    terminal.wait_text(f"poll {SENSOR}: 0701/0001/temperature = 20 ")
    assert watched.sensor.reads[0] == reads + 1, "it has not polled, but was read once"
    terminal.press("s")
    terminal.wait_text(f"resume {SENSOR}? y/n")
    terminal.press("y")
    terminal.wait_text(f"resume {SENSOR}: 1 poll goes on")
    terminal.wait(lambda text: re.search(r"0701/0001/t\S* +running", text), "it is shown")
    watched.sensor.wait_reads(2)

    # What does not fit in a line is on a page.
    terminal.press("escape")
    terminal.wait_text("ACTOR (4)")
    terminal.press("home", "p", "y")
    terminal.wait_text("poll /\n", "0701/0001/temperature = 20", "0702/0001/temperature = 20", "esc: back")
    terminal.press("q")
    terminal.wait_text("q quit")


def test_what_cannot_be_done_is_told(watched: Watched, top: Top) -> None:
    terminal = top()
    terminal.press("home", "r", "y")
    terminal.wait_text("restart /: / is the server itself: restart or stop its process")
    assert watched.actor("/").state == "running"


def test_trace(top: Top) -> None:
    terminal = top()
    select(terminal, "0701/0001/temp", SENSOR)
    terminal.press("t")
    terminal.wait_text(f"trace of {SENSOR}", "Tick()", "Reading(", "20.0")
    # It scrolls, and follows what comes.
    first = terminal.lines[1]
    terminal.wait(lambda text: first not in text, "the first line is out of sight")
    terminal.press("home")
    terminal.wait_text(first)
    terminal.press("escape")
    terminal.wait_text("q quit")
    wait_for(lambda: _traces() == 0, TIMEOUT, "the server traces no more")


def _traces() -> int:
    return sum("trace" in thread.name for thread in threading.enumerate())


def test_a_bus_in_a_process_of_its_own(tmp_path: Path, broker: Mosquitto) -> None:
    watched = Watched(tmp_path, broker, far=True)
    poller = "/buses/far/pollers/0703/0001/temperature"
    try:
        watched.server.wait_online()
        with Terminal(top_command("--socket", str(watched.socket)), cwd=ROOT) as terminal:
            terminal.wait_text("janitoo top", "▸ far", "q quit")
            select(terminal, "0703/0001/temp", poller)
            terminal.wait(lambda text: re.search(r"rate +\d+\.\d+/s.*[▁▂▃▄▅▆▇█]", text), "its rate")
            terminal.press("p", "y")
            terminal.wait_text(f"poll {poller}: 0703/0001/temperature = ")
            terminal.press("s", "y")
            terminal.wait(lambda text: re.search(r"0703/0001/t\S* +suspended", text), "it is shown")
            terminal.press("s", "y")
            terminal.wait(lambda text: re.search(r"0703/0001/t\S* +running", text), "it is shown")
            terminal.press("t")
            terminal.wait_text(f"trace of {poller}", "Tick()")
            terminal.press("q")
            terminal.wait_text("q quit")
            select(terminal, "far/bus", "/buses/far/bus")
            epoch = watched.actor("/buses/far/bus").epoch
            terminal.press("r", "y")
            terminal.wait_text("restart /buses/far/bus: it runs")
            wait_for(lambda: watched.actor("/buses/far/bus").epoch > epoch, TIMEOUT, "it is another one")
            # The process as a whole.
            select(terminal, "buses/far", "/buses/far")
            pid = watched.actor("/buses/far").pid
            terminal.wait_text(f"pid {pid}")
            terminal.press("r", "y")
            terminal.wait_text("restart /buses/far: it runs")
            assert watched.actor("/buses/far").pid != pid
    finally:
        SCRIPTS.reset()
        watched.stop()


def test_find(top: Top) -> None:
    terminal = top()
    terminal.press("/", "p", "a", "i")
    terminal.wait_text("/pai_   enter keeps it")
    terminal.press("\x7f", "\x7f", "\x7f", "0", "7", "0", "2")
    terminal.wait(lambda text: "0702/0001/tempera" in text and not re.search("[▾▸] one", text), "what was found")
    terminal.press("enter")
    terminal.wait_text("q quit", "ACTOR  /0702 (")
    terminal.press("/", "z", "z")
    terminal.wait_text("ACTOR  /0702zz (0)")
    terminal.press("escape")
    terminal.wait_text("▸ one", "▸ two", "ACTOR (4)")
    # By a state.
    terminal.press("/", "Poller", "enter")
    terminal.wait_text("0701/0001/tempera", "0702/0001/tempera")


def test_the_server_goes_and_comes_back(watched: Watched, top: Top) -> None:
    terminal = top()
    terminal.press("down", "down", "enter")
    terminal.wait_text("▸ pollers")
    watched.stop()
    terminal.wait_text("NO SERVER for", "trying again", "▸ pollers")
    # It still answers its keys.
    terminal.press("?")
    terminal.wait_text("Keys of janitoo top")
    terminal.press("escape")
    # A key that comes with an escape is another key.
    terminal.wait(lambda text: "Keys of janitoo top" not in text and "q quit" in text, "the page is gone")
    terminal.press("r", "y")
    terminal.wait_text("restart /buses/one", "no server of", "esc: back")
    terminal.press("q")
    terminal.wait_text("NO SERVER")
    watched.start()
    watched.server.wait_online()
    terminal.wait_text("the server is back", "▸ pollers")
    terminal.wait(lambda text: re.search(r"▾ one +running +0 +\d", text), "rates again")


def test_another_server_in_its_place(watched: Watched, top: Top) -> None:
    terminal = top()
    watched.stop()
    watched.start()
    watched.server.wait_online()
    terminal.wait(lambda text: "NO SERVER" not in text and re.search(r"up \ds", text), "the new one")


def test_the_terminal_changes_its_size(top: Top) -> None:
    terminal = top()
    terminal.resize(120, 40)
    terminal.wait(lambda text: re.search(r"rate .{100,}max", text), "it is as wide")
    terminal.resize(60, 14)
    terminal.wait(lambda text: "mailbox " not in text and "janitoo top" in text, "the tree has all of it")
    assert all(len(line) <= 60 for line in terminal.lines)
    terminal.resize(30, 5)
    terminal.wait(lambda text: text.startswith("attic"), "it is there")
    terminal.resize(80, 24)
    terminal.wait_text("q quit", "mailbox ", "▸ two")
    terminal.press("ctrl+c")
    assert terminal.wait_exit() == 0
    assert b"\x1b[?1049l" in terminal.raw[-200:], "the screen of before is back"
    assert b"\x1b[?25h" in terminal.raw[-200:], "and the cursor"
    assert b"\x1b[?1000h" not in terminal.raw, "it leaves the mouse to the terminal"


@pytest.mark.parametrize(
    ("env", "arguments", "signs"),
    [
        ({}, (), "▾▸─"),
        ({"TERM": "vt100"}, (), "-+-"),
        ({"LANG": "de_DE.ISO-8859-1"}, (), "-+-"),
        ({"LC_ALL": "POSIX"}, (), "-+-"),
        ({"LANG": "C"}, (), "-+-"),
        ({"TERM": "screen"}, (), "▾▸─"),
        ({}, ("--ascii",), "-+-"),
        ({"TERM": "linux"}, (), "▾▸─"),
    ],
)
def test_terminals_that_know_little(
    watched: Watched, top: Top, env: dict[str, str], arguments: tuple[str, ...], signs: str
) -> None:
    watched.sensor.read = raises(OSError("unplugged"), then=20.0)
    watched.sensor.wait_reads(2)
    terminal = top(*arguments, env=env)
    terminal.wait_text(f"{signs[0]} buses", f"{signs[1]} one", f"{signs[2]} / ")
    terminal.wait_text("read_failed")
    if signs == "-+-":
        assert terminal.text.isascii()
    assert (terminal.colours == {"default"}) is (env.get("TERM") == "vt100")
    assert b"38;2;" not in terminal.raw, "no colours but the sixteen that all have"
    assert b"48;2;" not in terminal.raw


def test_without_colours(watched: Watched, top: Top) -> None:
    watched.sensor.read = raises(OSError("unplugged"), then=20.0)
    watched.sensor.wait_reads(2)
    terminal = top(env={"NO_COLOR": "1"})
    terminal.wait_text("read_failed")
    assert terminal.colours == {"default"}
    assert terminal.marked()[-1].startswith("▾ /"), "the cursor can be seen"


@pytest.mark.parametrize("text", ["zz", "attic/cellar"])
def test_nothing_is_found(top: Top, text: str) -> None:
    terminal = top()
    terminal.press("/", text, "enter")
    terminal.wait_text(f"ACTOR  /{text} (0)", "nothing is like that: / looks for another, esc shows all", "q quit")
    # There is nobody to do something with; but one gets out of it.
    terminal.press("r", "y", "t", "e", "down", "enter", "/", "\x15", "0702", "enter")
    terminal.wait_text("ACTOR  /0702 (", "0702/0001/tempera")
    terminal.press("/", "\x15", text, "enter")
    terminal.wait_text(f"ACTOR  /{text} (0)")
    terminal.press("escape")
    terminal.wait_text("ACTOR (4)", "▸ one", "▸ two")


def test_what_is_found_is_opened(top: Top) -> None:
    terminal = top()
    terminal.press("/", "two/pol", "enter")
    terminal.wait_text("ACTOR  /two/pol (4)", "▸ pollers")
    terminal.press("end", "enter")
    terminal.wait_text("▾ pollers", "0702/0001/tempera")
    terminal.press("enter")
    terminal.wait(lambda text: "▸ pollers" in text and "0702/0001" not in text, "it is shut")


def test_the_broker_goes(tmp_path: Path, private_broker: BrokerFactory) -> None:
    mosquitto = private_broker()
    watched = Watched(tmp_path, mosquitto)
    try:
        watched.server.wait_online()
        with Terminal(top_command("--socket", str(watched.socket)), cwd=ROOT) as terminal:
            terminal.wait_text("janitoo top  attic", "q quit")
            mosquitto.stop()
            terminal.wait_text("no broker: one and 1 more")
            mosquitto.start()
            terminal.wait(lambda text: "no broker" not in text, "it is back")
    finally:
        SCRIPTS.reset()
        watched.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_may_only_look_is_told_so(watched: Watched) -> None:
    group = 54321
    epoch = watched.actor("/buses/one").epoch
    os.chown(watched.socket, -1, group)
    watched.control._group = group
    # By a name of its own: the directories of the tests are root's.
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        link = Path(place, "my.sock")
        os.link(watched.socket, link)
        command = ["setpriv", "--reuid=65534", f"--regid={group}", "--clear-groups"]
        command += top_command("--socket", str(link))
        with Terminal(command, cwd=ROOT, env={"HOME": place}) as terminal:
            terminal.wait_text("janitoo top  attic", "q quit")
            terminal.press("down", "down")
            terminal.wait_text(" /buses/one ")
            for key, request in (("r", "restart"), ("s", "suspend"), ("p", "poll")):
                terminal.press(key, "y")
                terminal.wait_text(f"{request} /buses/one: only root and root may do that")
            terminal.press("t")
            terminal.wait_text("trace of /buses/one", "only root and root may do that")
            terminal.press("escape")
            terminal.wait_text("q quit")
            terminal.press("e")
            terminal.wait_text("errors of /buses/one")
    assert watched.actor("/buses/one").epoch == epoch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_it_has_a_clean_terminal(top: Top, number: signal.Signals) -> None:
    terminal = top()
    terminal.process.send_signal(number)
    assert terminal.wait_exit() == 128 + number
    assert b"\x1b[?1049l" in terminal.raw[-200:], "the screen of before is back"
    assert b"\x1b[?25h" in terminal.raw[-200:], "and the cursor"


def test_a_line_that_is_dead_ends_it_though_nobody_says_so(watched: Watched) -> None:
    deaf = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *top_command("--socket", str(watched.socket))]
    with Terminal(deaf, cwd=ROOT) as terminal:
        terminal.wait_text("q quit", "attic")
        terminal.hang_up()
        assert terminal.process.wait(TIMEOUT) == 128 + signal.SIGHUP


def test_it_is_stopped_and_goes_on(top: Top) -> None:
    terminal = top()
    process = psutil.Process(terminal.process.pid)
    terminal.press("\x1a")
    wait_for(lambda: process.status() == psutil.STATUS_STOPPED, TIMEOUT, "it is stopped")
    wait_for(lambda: b"\x1b[?1049l" in terminal.raw[-200:], TIMEOUT, "the screen of before is back")
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_text("janitoo top  attic", "▸ one", "q quit")
    terminal.press("q")
    assert terminal.wait_exit() == 0


def test_a_narrow_terminal_shows_what_matters(watched: Watched, top: Top) -> None:
    terminal = top(columns=40, lines=12)
    terminal.wait_text("▸ one")
    assert terminal.lines[1].split() == ["ACTOR", "(4)", "STATE", "RATE/s", "ERR"]
    terminal.press("L")
    terminal.wait_text("▼LATENCY")
    assert terminal.lines[1].split() == ["ACTOR", "(4)", "STATE", "ERR", "▼LATENCY"]
    assert all(len(line) <= 40 for line in terminal.lines)
    assert set(watched.requests) == {"overview"}


class Idle(LightActor):
    """Nothing to do."""


def test_ten_thousand_actors(watched: Watched, top: Top) -> None:
    groups = [
        ChildSpec(
            f"group-{number}", Supervisor, (SupervisorFlags(), [ChildSpec(f"idle-{n}", Idle) for n in range(100)])
        )
        for number in range(100)
    ]
    buses = watched.server.server.system.lookup("/buses")
    assert buses is not None
    start_child(buses, ChildSpec("many", Supervisor, (SupervisorFlags(concurrent=True), groups))).get(timeout=60)
    terminal = top()
    terminal.wait_text("10k actors", "▸ many")
    terminal.press("end", "right")
    terminal.wait_text("▸ group-0")
    terminal.press("end", "right")
    terminal.wait_text("ACTOR (205)")
    terminal.press("end")
    terminal.wait_text(" /buses/many/group-99/idle-99 ")
    terminal.press("/", "idle-", "enter")
    terminal.wait(lambda text: re.search(r"/idle- \(101\d\d\)", text), "all of them are found")
    terminal.press("end", "M", "home", "end", "L")
    terminal.wait_text(" /buses/many/group-99/idle-99 ", "▼LATENCY")
    terminal.press("/", "\x15", "idle-42", "enter")
    terminal.wait_text("/idle-42 (")
    terminal.press("q")
    assert terminal.wait_exit() == 0


def test_by_its_file(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    host = "[hostsensor]\nhadd = 0147/0000\ncomponents.up = hostsensor.uptime\n[hostsensor__up]\nhadd = 0147/0001\n"
    path.write_text(system_section(broker, f"pid_dir = {tmp_path}") + host, encoding="utf-8")
    with run_command(path) as server:
        server.wait_summary()
        with Terminal(top_command(str(path)), cwd=ROOT) as terminal:
            terminal.wait_text("janitoo top  my", "▸ hostsensor")
            server.send(signal.SIGKILL)
            terminal.wait_text("NO SERVER for")
            with run_command(path) as again:
                again.wait_summary()
                terminal.wait_text("the server is back, as process")
                terminal.press("q")
                assert terminal.wait_exit() == 0


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it without a terminal, to its end."""
    return subprocess.run(
        top_command(*arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **(env or {})},
        timeout=60,
        check=False,
    )


def test_without_a_terminal(watched: Watched) -> None:
    done = run("--socket", str(watched.socket))
    assert done.returncode == 1
    assert done.stderr == (
        "janitoo top: the live screen needs a terminal; for programs there is: janitoo console --json tree\n"
    )


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_on_a_terminal_that_has_no_screen(watched: Watched, terminal: str) -> None:
    with Terminal(top_command("--socket", str(watched.socket)), cwd=ROOT, env={"TERM": terminal}) as opened:
        assert opened.wait_exit() == 1
        text = opened.text.replace("\n", "")
        assert f"cannot be drawn on a terminal that is '{terminal}' (TERM); there is: janitoo console tree" in text
        assert b"\x1b" not in opened.raw


def test_without_a_server(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_text("[system]\n", encoding="utf-8")
    with Terminal(top_command(str(path)), cwd=ROOT) as terminal:
        assert terminal.wait_exit() == 1
        text = terminal.text.replace("\n", "")
        assert "my.conf is running; start it with: janitoo run" in text
        assert b"\x1b[?1049h" not in terminal.raw, "it has not taken the screen"


@pytest.mark.parametrize("library", ["textual", "rich"])
def test_without_the_library(tmp_path: Path, library: str) -> None:
    missing = f"raise ModuleNotFoundError(\"No module named '{library}'\", name='{library}')\n"
    (tmp_path / f"{library}.py").write_text(missing, encoding="utf-8")
    done = run(env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == (f"janitoo top: the live screen needs {library}: install it with: {install('console')}\n")

"""The log: to read on a terminal, as JSON, and as `[loggers]`, `[handlers]`, `[formatters]` say."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog

from example_drivers import registry
from janitoo_actors import logs
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import LogFormat
from janitoo_actors.errors import BusLostError, ConfigurationError, TemporaryError
from janitoo_actors.runtime.reports import ReportLog
from supervisors import ExitReason, Report, ReportKind

SYSTEM = """\
[system]
service = test

[hostsensor]
auto_start = True
hadd = 0121/0000
"""

LOGGING = """
[loggers]
keys = root, janitoo

[handlers]
keys = console, file

[formatters]
keys = plain

[logger_root]
level = INFO
handlers = console

[logger_janitoo]
level = DEBUG
handlers = file
qualname = janitoo
propagate = 0

[handler_console]
class = StreamHandler
level = WARNING
formatter = plain
args = (sys.stderr,)

[handler_file]
class = handlers.RotatingFileHandler
level = DEBUG
formatter = plain
args = ({file!r}, 'a', 2000, 3)

[formatter_plain]
format = %(asctime)s %(levelname)-8s %(name)s | %(message)s
datefmt = %H:%M:%S
"""


pytestmark = pytest.mark.usefixtures("logging_as_before")


def configure(tmp_path: Path, text: str = SYSTEM, log_format: LogFormat | None = None) -> None:
    """Set logging up from a file with this text."""
    path = tmp_path / "server.conf"
    path.write_text(text, encoding="utf-8")
    logs.configure(load(path, registry()), log_format)


def to_files(tmp_path: Path) -> tuple[str, Path]:
    """A configuration with `[loggers]`, and the file that it logs to."""
    file = tmp_path / "janitoo.log"
    return SYSTEM + LOGGING.format(file=str(file)), file


def bound(name: str | None = None) -> Any:
    """A logger as actors have it."""
    return structlog.get_logger(name).bind(path="/buses/one/bus", bus="one", hadd="0701/0001")


def raised(error: Exception) -> ExitReason:
    """The end of an actor by an exception that was raised here."""
    try:
        raise error
    except type(error) as caught:
        return ExitReason.of(caught)


def terminated(error: Exception) -> Report:
    """The report of a bus that an exception has ended."""
    return Report(ReportKind.CHILD_TERMINATED, "/buses/one", "bus", raised(error), retry_in=1.04)


# -- the console -----------------------------------------------------------------------------------------------------


def test_a_line_for_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path)
    bound().warning("read_failed", error="the sensor is unplugged", value="temperature")
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    clock, level, rest = line.split(maxsplit=2)
    assert (len(clock), clock[2], clock[5]) == (8, ":", ":")
    assert level == "[warning"
    assert "read_failed" in rest
    for each in ("path=/buses/one/bus", "bus=one", "hadd=0701/0001", "error='the sensor is unplugged'"):
        assert each in rest
    # Colours are for terminals.
    assert "\x1b" not in err


def test_debug_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path)
    bound().debug("detail")
    logging.getLogger("somebody").debug("detail")
    assert capsys.readouterr().err == ""


def test_records_of_other_libraries_look_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path)
    logging.getLogger("somebody").warning("the disk is %s", "full")
    (line,) = capsys.readouterr().err.splitlines()
    assert "[warning" in line
    assert "the disk is full" in line


def test_a_bug_is_shown_with_its_traceback_and_a_temporary_error_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path)
    log = ReportLog()
    log(terminated(BusLostError("the adapter is gone")))
    log(terminated(TemporaryError("it is busy")))
    log(terminated(OSError(5, "Input/output error")))
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3
    assert "Traceback" not in err
    assert "BusLostError: the adapter is gone" in err
    assert "retry_in=1.0" in err
    log(terminated(ZeroDivisionError("a bug")))
    err = capsys.readouterr().err
    assert "Traceback (most recent call last):\n" in err
    assert err.rstrip().endswith("ZeroDivisionError: a bug")


def test_an_exception_of_another_library_has_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path)
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        logging.getLogger("supervisors").exception("A turn failed")
    err = capsys.readouterr().err
    assert "A turn failed" in err
    assert "Traceback (most recent call last):\n" in err


def test_pykka_s_own_records_are_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path)
    logging.getLogger("pykka").error("Unhandled exception in …")
    assert capsys.readouterr().err == ""


# -- JSON ------------------------------------------------------------------------------------------------------------


def lines_of(text: str) -> list[dict[str, Any]]:
    """JSON, an object a line."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("by", ["file", "argument"])
def test_json(by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if by == "file":
        configure(tmp_path, SYSTEM.replace("service = test", "service = test\nlog_format = json"))
    else:
        configure(tmp_path, log_format=LogFormat.JSON)
    bound().warning("read_failed", error="a\nb \x00 \udcff кошка", number=3, thing=object())
    structlog.get_logger().info("server_stopped")
    logging.getLogger("somebody").warning("the disk is %s", "full")
    ReportLog()(terminated(ZeroDivisionError("a bug")))
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        logging.getLogger("supervisors").exception("A turn failed")
    out, err = capsys.readouterr()
    assert out == ""
    read, stopped, foreign, report, exception = lines_of(err)
    for each in (read, stopped, foreign, report, exception):
        assert each["timestamp"].endswith("Z")
        assert not {"_record", "_from_structlog"} & each.keys()
    assert {key: read[key] for key in ("event", "level", "path", "bus", "hadd", "error", "number")} == {
        "event": "read_failed",
        "level": "warning",
        "path": "/buses/one/bus",
        "bus": "one",
        "hadd": "0701/0001",
        "error": "a\nb \x00 \udcff кошка",
        "number": 3,
    }
    assert (stopped["event"], stopped["level"]) == ("server_stopped", "info")
    assert (foreign["event"], foreign["level"]) == ("the disk is full", "warning")
    assert (report["event"], report["path"]) == ("child_terminated", "/buses/one/bus")
    assert "ZeroDivisionError: a bug" in report["traceback"]
    assert "ZeroDivisionError: a bug" in exception["exception"]


# -- [loggers], [handlers], [formatters] -----------------------------------------------------------------------------


def test_the_loggers_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, file = to_files(tmp_path)
    configure(tmp_path, text)
    bound("janitoo").debug("poll", value="load")
    bound("elsewhere").warning("read_failed", error="it is unplugged")
    bound("elsewhere").info("not on the console")
    logging.getLogger("janitoo.child").info("said %s", "plainly")
    (poll, plain) = file.read_text(encoding="utf-8").splitlines()
    head, _, message = poll.partition(" | ")
    assert head[8:] == " DEBUG    janitoo"
    assert message == "poll path='/buses/one/bus' bus='one' hadd='0701/0001' value='load'"
    assert plain[8:] == " INFO     janitoo.child | said plainly"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("| read_failed path='/buses/one/bus' bus='one' hadd='0701/0001' error='it is unplugged'")


def test_the_rotating_file_rotates(tmp_path: Path) -> None:
    text, file = to_files(tmp_path)
    configure(tmp_path, text)
    for number in range(100):
        bound("janitoo").info("poll", number=number)
    names = sorted(each.name for each in tmp_path.glob("janitoo.log*"))
    assert names == ["janitoo.log", "janitoo.log.1", "janitoo.log.2", "janitoo.log.3"]
    assert all(each.stat().st_size <= 2000 for each in tmp_path.glob("janitoo.log*"))
    assert "number=99" in file.read_text(encoding="utf-8")


def test_json_through_the_handlers_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, file = to_files(tmp_path)
    configure(tmp_path, text, LogFormat.JSON)
    bound("janitoo").debug("poll", value="load")
    logging.getLogger("janitoo").error("said %s", "plainly")
    bound("elsewhere").warning("read_failed")
    polled, plain = lines_of(file.read_text(encoding="utf-8"))
    assert (polled["event"], polled["level"], polled["hadd"]) == ("poll", "debug", "0701/0001")
    assert (plain["event"], plain["level"]) == ("said plainly", "error")
    (shown,) = lines_of(capsys.readouterr().err)
    assert shown["event"] == "read_failed"


def test_a_traceback_through_a_formatter_of_the_file(tmp_path: Path) -> None:
    text, file = to_files(tmp_path)
    # All to the file.
    text = text.replace("handlers = console", "handlers = file")
    configure(tmp_path, text)
    ReportLog()(terminated(ZeroDivisionError("a bug")))
    ReportLog()(terminated(BusLostError("the adapter is gone")))
    written = file.read_text(encoding="utf-8")
    assert written.count("Traceback (most recent call last):\n") == 1
    assert "ZeroDivisionError: a bug" in written
    assert "child_terminated" in written


def test_two_handlers_of_one_record_show_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, file = to_files(tmp_path)
    configure(tmp_path, text.replace("propagate = 0", "propagate = 1"))
    bound("janitoo").warning("read_failed", error="it is unplugged")
    assert file.read_text(encoding="utf-8").partition(" | ")[2] == capsys.readouterr().err.partition(" | ")[2]


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    text, file = to_files(tmp_path)
    configure(tmp_path, "\ufeff" + text)
    bound("janitoo").debug("poll")
    assert "poll" in file.read_text(encoding="utf-8")


def test_percent_signs_in_other_sections_are_nothing_to_python_s_logging(tmp_path: Path) -> None:
    text, file = to_files(tmp_path)
    # Where it reads a section, a `%` begins a reference to another option.
    configure(tmp_path, text.replace("service = test", "service = test\nbroker_user = ada\nbroker_password = 50%off"))
    bound("janitoo").debug("poll")
    assert "poll" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("args = (sys.stderr,)", "args = (sys.nothing,)", "sys"),
        ("args = (sys.stderr,)", "args = (", "SyntaxError"),
        ("args = (sys.stderr,)", "args = (1, 2, 3)", "TypeError"),
        ("class = StreamHandler", "class = NoHandler", "NoHandler"),
        ("level = WARNING", "level = LOUD", "LOUD"),
        ("formatter = plain", "formatter = fancy", "fancy"),
        ("keys = console, file", "keys = console, file, printer", "printer"),
        ("[formatter_plain]", "[formatter_other]", "formatter_plain"),
    ],
)
def test_what_python_s_logging_cannot_use_is_an_error_of_the_configuration(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    text, _ = to_files(tmp_path)
    assert old in text
    with pytest.raises(ConfigurationError) as caught:
        configure(tmp_path, text.replace(old, new, 1))
    sentence = str(caught.value)
    where = f"{tmp_path / 'server.conf'}: [loggers], [handlers], [formatters]: Python's logging cannot use them: "
    assert sentence.startswith(where)
    assert said in sentence


def test_a_log_file_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    text, file = to_files(tmp_path)
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        configure(tmp_path, text.replace(str(file), str(tmp_path / "nowhere" / "janitoo.log")))


def test_only_some_of_the_three_sections_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path, SYSTEM + "\n[loggers]\nkeys = root\n")
    bound().info("bus_started")
    assert "bus_started" in capsys.readouterr().err

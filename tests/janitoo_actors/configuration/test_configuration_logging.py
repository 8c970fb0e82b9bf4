"""The sections of Python's logging, as `janitoo check` looks at them."""

from __future__ import annotations

from pathlib import Path

import pytest

import example_drivers
from janitoo_actors import logs
from janitoo_actors.api import Applies
from janitoo_actors.configuration.examination import examine
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.schema import lookup
from janitoo_actors.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("logging_as_before")

GOOD = """\
[nut]
hadd = 1/0
[loggers]
keys = root, janitoo
[handlers]
keys = console,file
[formatters]
keys = short
[logger_root]
level = WARNING
handlers = console, file
[logger_janitoo]
level = INFO
handlers =
qualname = janitoo_actors
propagate = 1
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = short
[handler_file]
class = handlers.RotatingFileHandler
args = ('FOLDER/janitoo.log',
    'a')
level = NOTSET
[formatter_short]
format = %(levelname)s %(message)s
datefmt = %H:%M:%S
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.conf"


def write(path: Path, old: str = "", new: str = "") -> None:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new).replace("FOLDER", str(path.parent)), encoding="utf-8")


def test_right_sections(path: Path) -> None:
    write(path)
    report = examine(path, example_drivers.registry())
    assert (report.findings, report.exit_code) == ((), 0)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("keys = root, janitoo", "keys = janitoo", 4, "expected root among them"),
        ("keys = root, janitoo", "keys = root, janito", 4, "there is no section [logger_janito]"),
        ("keys = root, janitoo", "keys = root janitoo", 4, "there is no section [logger_root janitoo]"),
        ("keys = root, janitoo\n", "", 3, "missing: expected names"),
        ("level = INFO", "level = info", 13, "DEBUG or NOTSET; did you mean 'INFO'?"),
        ("level = INFO", "level = LOUD", 13, "expected CRITICAL, ERROR, WARNING, INFO, DEBUG or NOTSET"),
        ("handlers = console, file", "handlers = consol", 11, "'consol' is not; did you mean 'console'?"),
        ("handlers =\n", "", 12, "missing: expected names"),
        ("qualname = janitoo_actors\n", "", 12, "expected the name of a logger, as janitoo_actors"),
        ("class = StreamHandler\n", "", 17, "missing: expected a text"),
        ("formatter = short", "formatter = shrt", 20, "'shrt' is not; did you mean 'short'?"),
        ("keys = short", "keys = long", 8, "there is no section [formatter_long]"),
        ("FOLDER/janitoo.log", "/no/such/janitoo.log", 23, "/no/such is none: mkdir -p /no/such"),
    ],
)
def test_mistake(path: Path, old: str, new: str, line: int, said: str) -> None:
    write(path, old, new)
    report = examine(path, example_drivers.registry())
    assert report.exit_code == 78
    errors = [each.problem for each in report.findings if each.severity == "error"]
    assert any(each.line == line and said in each.expected for each in errors), list(map(str, errors))
    # Python's logging does not take it either.
    config = load(path, example_drivers.registry())
    with pytest.raises(ConfigurationError):
        logs.configure(config)


def test_what_nothing_reads_is_a_warning(path: Path) -> None:
    write(path, "propagate = 1", "propagat = 1\n[handler_other]\nclass = X")
    report = examine(path, example_drivers.registry())
    assert [str(each.problem).removeprefix(f"{path}:") for each in report.findings] == [
        "16: [logger_janitoo] propagat: nothing reads this key; did you mean 'propagate'?",
        "17: [handler_other]: nothing reads this section: other is not among the keys of [handlers]",
    ]
    assert report.exit_code == 0


def test_mistakes_of_the_server_are_told_with_those_of_its_log(path: Path) -> None:
    write(path, "level = INFO", "level = info")
    path.write_text(f"{path.read_text()}[system]\nbroker_port = x\n")
    report = examine(path, example_drivers.registry())
    assert [each.problem.key for each in report.findings] == ["level", "broker_port"]


def test_one_of_three_is_not_read(path: Path) -> None:
    path.write_text("[nut]\nhadd = 1/0\n[loggers]\nkeys = nothing\n")
    assert examine(path, example_drivers.registry()).findings == ()


def test_levels_change_in_place(path: Path) -> None:
    write(path)
    config = load(path, example_drivers.registry())
    level = lookup(config, "logger_root", "level")
    assert level is not None
    assert level.applies is Applies.IN_PLACE
    assert lookup(config, "handler_file", "class") is not None
    assert lookup(config, "loggers", "keys") is not None
    assert lookup(config, "logger", "level") is None

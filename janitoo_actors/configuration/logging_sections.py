"""What the sections of Python's logging may hold: `[loggers]`, `[handlers]`, `[formatters]`, and one for each of them.

Python's logging reads them itself (`logs.configure`), and says one thing that is wrong with all of them. Here all
that can be seen without opening a handler is told with its line.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from janitoo_actors.api.options import Bool, Line, OptionType, Text
from janitoo_actors.api.schema import Applies, Option, Section
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import Problem
from janitoo_actors.configuration.reading import SectionReader
from janitoo_actors.suggest import did_you_mean

LISTS: Final = ("loggers", "handlers", "formatters")
"""All three must be there; otherwise none of them is read."""

_IN_PLACE: Final = Applies.IN_PLACE


class Level(OptionType[str]):
    """The name of a level, in upper case as Python's logging has it."""

    name = "level"
    _names = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET")
    _others = ("FATAL", "WARN")

    @property
    def allowed(self) -> str:
        return self.limits

    @property
    def limits(self) -> str:
        return f"{', '.join(self._names[:-1])} or {self._names[-1]}"

    def parse(self, text: str, folder: Path = Path()) -> str:  # noqa: ARG002 - it has no paths
        word = text.strip()
        if word not in {*self._names, *self._others}:
            raise self.refused(did_you_mean(word.upper(), self._names))
        return word


class Anything(OptionType[str]):
    """A text that only Python's logging understands; of several lines, where somebody likes that."""

    name = "text"

    @property
    def allowed(self) -> str:
        return "a text"

    def parse(self, text: str, folder: Path = Path()) -> str:  # noqa: ARG002 - it has no paths
        return text


class Listed(OptionType[tuple[str, ...]]):
    """Names with commas between, as Python's logging splits them."""

    name = "names"

    @property
    def allowed(self) -> str:
        return "names with commas between, as root, janitoo"

    def parse(self, text: str, folder: Path = Path()) -> tuple[str, ...]:  # noqa: ARG002 - it has no paths
        return tuple(each.strip() for each in text.split(",") if each.strip())

    def text(self, data: Any) -> str:
        return ", ".join(data)


class ListSection(Section):
    """The list of loggers, of handlers, or of formatters."""

    section = "loggers, handlers, formatters"
    title = "[loggers], [handlers], [formatters]"
    help = "Where the log goes, for Python's logging: all three must be there"
    keys = Option(Listed(), help="The names of those that there are", applies=_IN_PLACE, example="root, janitoo")


class LoggerSection(Section):
    """A logger."""

    section = "logger_<name>"
    title = "A logger"
    help = "What a part of the program says: `[logger_root]`, and `[logger_<name>]` for each other name of `[loggers]`"
    level = Option(Level(), help="The least that is logged", default="NOTSET", applies=_IN_PLACE, example="INFO")
    handlers = Option(
        Listed(), help="Where it goes, of `[handlers]`; it may be empty", applies=_IN_PLACE, example="console"
    )
    qualname = Option(
        Line(),
        help="The name of the logger; the root needs none",
        default="",
        applies=_IN_PLACE,
        example="janitoo_actors",
    )
    propagate = Option(
        Line(), help="1 where the root shall have it too, else 0", default="1", applies=_IN_PLACE, example="0"
    )


class HandlerSection(Section):
    """A handler."""

    section = "handler_<name>"
    title = "A handler"
    help = "Where a log goes: `[handler_<name>]`"
    class_ = Option(
        Text(), key="class", help="A class of `logging`", applies=_IN_PLACE, example="handlers.RotatingFileHandler"
    )
    args = Option(
        Anything(),
        help="What the class is made with, as Python has it",
        default="()",
        applies=_IN_PLACE,
        example="('/tmp/janitoo.log', 'a', 1000000, 3)",
    )
    kwargs = Option(
        Anything(),
        help="Further arguments, as Python has them",
        default="{}",
        applies=_IN_PLACE,
        example="{'encoding': 'utf-8'}",
    )
    level = Option(Level(), help="The least that it takes", default="NOTSET", applies=_IN_PLACE, example="WARNING")
    formatter = Option(
        Line(), help="How it is written, of `[formatters]`", default="", applies=_IN_PLACE, example="short"
    )
    target = Option(Line(), help="The handler that a MemoryHandler gives it to", default="", applies=_IN_PLACE)


class FormatterSection(Section):
    """A formatter."""

    section = "formatter_<name>"
    title = "A formatter"
    help = "How a log is written: `[formatter_<name>]`"
    format = Option(
        Anything(),
        help="A line",
        default="%(message)s",
        applies=_IN_PLACE,
        example="%(asctime)s %(levelname)s %(message)s",
    )
    datefmt = Option(Anything(), help="The time in it", default="", applies=_IN_PLACE, example="%H:%M:%S")
    style = Option(Line(), help="How the format is written: `%`, `{` or `$`", default="%", applies=_IN_PLACE)
    validate = Option(Bool(), help="Whether the format is checked", default=True, applies=_IN_PLACE)
    defaults = Option(
        Anything(), help="What is in a format beside the log, as Python has it", default="{}", applies=_IN_PLACE
    )
    class_ = Option(Line(), key="class", help="A class of its own", default="", applies=_IN_PLACE)


LOGGING_SECTIONS: Final[tuple[type[Section], ...]] = (ListSection, LoggerSection, HandlerSection, FormatterSection)

_KINDS: Final[Mapping[str, type[Section]]] = {
    "loggers": LoggerSection,
    "handlers": HandlerSection,
    "formatters": FormatterSection,
}


def logging_options(section: str) -> Mapping[str, Option[Any]]:
    """What a section of logging may hold; empty where it is none."""
    if section in LISTS:
        return ListSection.options
    prefix = section.partition("_")[0]
    kind = _KINDS.get(f"{prefix}s")
    return kind.options if kind is not None and "_" in section else MappingProxyType({})


def check_logging(ini: IniFile, log_dir: Path) -> tuple[list[Problem], list[Problem]]:
    """What is wrong with the sections of logging, and what is odd. Blocks for the disk.

    Args:
        log_dir: the folder that is made where it is missing.
    """
    check = _Check(ini, log_dir)
    if all(section in ini.sections for section in LISTS):
        check.all()
    return check.problems, check.warnings


class _Check:
    """Looks at all of the sections once."""

    def __init__(self, ini: IniFile, log_dir: Path) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._ini = ini
        self._log_dir = log_dir
        self._names: dict[str, tuple[str, ...]] = {}

    def all(self) -> None:
        """Check the lists, then what they list, then what is left."""
        for listed in LISTS:
            read = self._reader(listed).read(ListSection)
            self._names[listed] = read.option("keys") or ()
        for listed, kind in _KINDS.items():
            for name in self._names[listed]:
                section = f"{listed[:-1]}_{name}"
                if section not in self._ini.sections:
                    self._wrong(listed, "keys", f"there is no section [{section}]: write one, or remove {name}")
                    continue
                reader = self._reader(section)
                self._check_one(section, name, reader.read(kind))
                reader.unread(kind.options, "this key")
        if "root" not in self._names["loggers"]:
            self._wrong("loggers", "keys", "expected root among them: Python's logging needs [logger_root]")
        for section in self._ini.sections:
            prefix, _, name = section.partition("_")
            if name and f"{prefix}s" in _KINDS and name not in self._names[f"{prefix}s"]:
                text = f"nothing reads this section: {name} is not among the keys of [{prefix}s]"
                self.warnings.append(self._ini.problem(section, None, text))

    def _check_one(self, section: str, name: str, read: Section) -> None:
        match read:
            case LoggerSection():
                if name != "root" and not read.qualname:
                    self._wrong(section, "qualname", "expected the name of a logger, as janitoo_actors")
                for handler in read.option("handlers") or ():
                    self._check_listed(section, "handlers", handler, "handlers")
            case HandlerSection():
                if read.formatter:
                    self._check_listed(section, "formatter", read.formatter, "formatters")
                if (read.option("class") or "").endswith("FileHandler"):
                    self._check_folder(section, read.args)
            case _:
                pass

    def _check_listed(self, section: str, key: str, name: str, listed: str) -> None:
        if name not in self._names[listed]:
            hint = did_you_mean(name, self._names[listed])
            self._wrong(section, key, f"expected names that are among the keys of [{listed}]; {name!r} is not{hint}")

    def _check_folder(self, section: str, args: str) -> None:
        try:
            first, *_ = ast.literal_eval(args)
            folder = Path(first).parent
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            # Anything that Python can compute may be there; it is not run here.
            return
        if not folder.is_dir() and folder.absolute() != self._log_dir:
            self._wrong(
                section, "args", f"expected a file in a folder that is there; {folder} is none: mkdir -p {folder}"
            )

    def _reader(self, section: str) -> SectionReader:
        return SectionReader(self._ini, section, self.problems, self.warnings)

    def _wrong(self, section: str, key: str, expected: str) -> None:
        self.problems.append(self._ini.problem(section, key, expected))

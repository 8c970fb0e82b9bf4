"""Scripts of a simulation: data and faults at given times, in a file of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from janitoo_actors.api.options import OptionType
from janitoo_actors.api.places import FilePath
from janitoo_actors.api.values import Value
from janitoo_actors.simulation.faults import Fault

NORMAL: Final = "normal"
ALL: Final = "*"
_LINE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s+(\S+)\s+(\S+)(?:\s+(.*))?")


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a script: from `at` seconds on, the value is `data`, has a fault, or is as without a script.

    Attributes:
        uuid: the value; `*` for all.
        fault: None where there is none.
        text: the data, or what the fault says; "normal" where neither.
        number: the line, which tells it from others.
    """

    at: float
    uuid: str
    fault: Fault | None
    text: str
    number: int

    @property
    def once(self) -> bool:
        """Whether it is over when it has happened: otherwise a bus that is opened anew would be lost again."""
        return self.fault in {Fault.HANG, Fault.LOST}

    @property
    def is_normal(self) -> bool:
        """Whether it is as without a script from then on."""
        return self.fault is None and self.text == NORMAL


@dataclass(frozen=True, slots=True)
class Script:
    """A script that has been read.

    Attributes:
        path: where it is.
        events: in the order of their times.
    """

    path: Path
    events: tuple[Event, ...]

    def wrong(self, values: Mapping[str, Value]) -> str | None:
        """What is wrong with it for a device with these values, as it follows "expected"; None where nothing is."""
        readable = sorted(uuid for uuid, value in values.items() if value.read_by is not None)
        for event in self.events:
            where = f"{self.path}:{event.number}"
            if event.uuid != ALL and event.uuid not in readable:
                return f"one of {', '.join([*readable, ALL])} at {where}, not {event.uuid}"
            if event.fault is None and not event.is_normal and event.uuid != ALL:
                try:
                    values[event.uuid].coerce(event.text)
                except ValueError as error:
                    return f"{str(error).removeprefix('expected ')} at {where}, not {event.uuid} {event.text}"
            elif event.uuid == ALL and event.fault is None and not event.is_normal:
                return f"a fault, or {NORMAL}, for all values at {where}, not {event.text}"
        return None


class ScriptType(OptionType[Script]):
    """The path of a script, which is read and checked with the file that names it."""

    name = "path"

    def __init__(self) -> None:
        self._path = FilePath()

    @property
    def allowed(self) -> str:
        """What is at the path."""
        return "the path of a file with lines SECONDS VALUE DATA, as 10 temperature 21.5"

    def parse(self, text: str, folder: Path = Path()) -> Script:
        """The script. Blocks for the disk."""
        path = self._path.parse(text, folder)
        try:
            return Script(path, read_script(path.read_text(encoding="utf-8"), str(path)))
        except OSError as error:
            raise ValueError(f"expected a script that can be read: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"expected a script in UTF-8: {path}") from None

    def located(self, text: str, folder: Path) -> str:
        """As that of a path."""
        return self._path.located(text, folder)

    def text(self, data: Any) -> str:
        """Its path."""
        return self._path.text(data.path)


def read_script(text: str, name: str) -> tuple[Event, ...]:
    """The events of a script, in the order of their times.

    Args:
        name: of its file, for the message.

    Raises:
        ValueError: a line is none; the message says which, and what is expected.
    """
    events = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ValueError(f"expected SECONDS VALUE DATA, as 10 temperature 21.5, at {name}:{number}")
        at, uuid, word, rest = match.groups()
        is_fault = word in set(Fault)
        said = rest or "" if is_fault else f"{word} {rest}".strip() if rest else word
        events.append(Event(float(at), uuid, Fault(word) if is_fault else None, said, number))
    return tuple(sorted(events, key=lambda each: (each.at, each.number)))

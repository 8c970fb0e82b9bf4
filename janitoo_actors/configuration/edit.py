"""Setting options in the text of an INI file, every other byte of it as it was. Pure functions; any thread.

ConfigUpdater is not used for it: it writes an option without the indentation of the line that it replaces (and the
next line, deeper then, becomes part of the value), ends lines in its own way, loses comments inside of long values,
and puts a new option below the comment that introduces the next section.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from janitoo_actors.configuration.ini import ConfigurationFileError, IniFile, parse
from janitoo_actors.errors import ConfigurationError

_BOM: Final = b"\xef\xbb\xbf"
_INDENT: Final = re.compile(r"\s*")
_UP_TO_VALUE: Final = re.compile(r"([^=:]*?)([ \t]*)([=:])([ \t]*)")
_COMMENTS: Final = ("#", ";")


class UnstorableError(ConfigurationError):
    """An option that an INI file cannot hold, so that it would be read back as something else."""


def set_options(ini: IniFile, section: str, options: Mapping[str, str]) -> bytes:
    """The bytes of the file with these options set.

    An option that is there changes on its line; a new one follows the last of its section; a new section is appended.
    Comments, order, indentation, and line ends stay, and the new lines have those of their neighbours.

    Raises:
        UnstorableError: where the file would not be read back with exactly these changes; as with a value of several
            lines, or a key with a `=`.
    """
    return edited(ini, section, options)[0]


def edited(ini: IniFile, section: str, options: Mapping[str, str]) -> tuple[bytes, IniFile]:
    """As `set_options`, and how the bytes are read back: for who goes on from there."""
    data = (_BOM if ini.has_bom else b"") + _encode(_changed(ini, section, options), section)
    try:
        after = parse(data, ini.path)
    except ConfigurationFileError:
        after = None
    expected = {name: dict(own) for name, own in ini.sections.items()}
    expected.setdefault(section, {}).update({key.lower(): text for key, text in options.items()})
    if after is None or after.defaults != ini.defaults or after.sections != expected:
        raise UnstorableError(
            f"{', '.join(map(repr, options))} of [{section}] cannot be stored in {ini.path}: "
            "expected keys and texts of one line, without white space around them"
        )
    return data, after


def _encode(text: str, section: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnstorableError(
            f"an option of [{section}] holds {error.object[error.start]!a}, which is no character of UTF-8"
        ) from error


def _changed(ini: IniFile, section: str, options: Mapping[str, str]) -> str:
    """The text of the file with these options set."""
    end = _line_end(ini)
    marks = frozenset(ini.positions.values())
    # What becomes of each line: itself, nothing, or itself and new ones.
    pieces = [[line] for line in ini.lines]
    added: list[tuple[str, str]] = []
    for key, text in options.items():
        line = ini.positions.get((section, key.lower()))
        if line is None:
            added.append((key, text))
            continue
        pieces[line - 1] = [_with_value(ini.lines[line - 1], text, end)]
        for number in _further_lines(ini, line, marks):
            pieces[number - 1] = []
    own = [line for (name, _), line in ini.positions.items() if name == section]
    if not own:
        new = [end] if ini.lines and ini.lines[-1].strip() else []
        pieces.append([*new, f"[{section}]{end}", *_lines_of(added, "", end)])
        last = len(ini.lines)
    else:
        last = max([max(own), *_further_lines(ini, max(own), marks)])
        # As the line before has it: a "\r" of the file's first line and a "\n" that follows would be one line end.
        new_end = _end_of(ini.lines[last - 1]) or end
        pieces[last - 1] += _lines_of(added, _indent_of_new(ini, section, marks), new_end)
    if (added or not own) and last == len(ini.lines) > 0 and not ini.lines[-1].endswith(("\n", "\r")):
        # There was no line end at the end of the file, which this line now is no longer.
        first, *rest = pieces[last - 1]
        pieces[last - 1] = [first if first.endswith(("\n", "\r")) else first + end, *rest]
    return "".join(line for piece in pieces for line in piece)


def _lines_of(options: Iterable[tuple[str, str]], indent: str, end: str) -> list[str]:
    return [f"{indent}{key} = {text}".rstrip() + end for key, text in options]


def _line_end(ini: IniFile) -> str:
    """The line end of the file: that of its first line."""
    return _end_of(ini.lines[0] if ini.lines else "") or "\n"


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _further_lines(ini: IniFile, line: int, marks: frozenset[int]) -> list[int]:
    """The numbers of the lines that go on with the value of the option on this line."""
    numbers = []
    number = line + 1
    while number <= len(ini.lines) and number not in marks:
        text = ini.lines[number - 1].strip()
        if text and not text.startswith(_COMMENTS):
            numbers.append(number)
        number += 1
    return numbers


def _indent_of_new(ini: IniFile, section: str, marks: frozenset[int]) -> str:
    """The white space before a new option of a section: that of the option before it."""
    line = max(line for (name, _), line in ini.positions.items() if name == section)
    indent = _indent(ini.lines[line - 1])
    if line != ini.positions[section, None]:
        return indent
    # The first option of the section. What follows must not stand deeper, or it would be more of its value.
    following = min((mark for mark in marks if mark > line), default=None)
    return indent if following is None else max(indent, _indent(ini.lines[following - 1]), key=len)


def _indent(line: str) -> str:
    match = _INDENT.match(line)
    return match[0] if match is not None else ""


def _with_value(line: str, value: str, end: str) -> str:
    """The line of an option with another value."""
    text = line.rstrip("\r\n")
    match = _UP_TO_VALUE.match(text)
    if match is None:
        # No delimiter: not a line that the parser has as an option.
        return line
    key, before, delimiter, after = match.groups()
    if not text[match.end() :]:
        # An empty value may have lost the white space that it had.
        after = before
    return f"{key}{before}{delimiter}{after}{value}".rstrip() + (line[len(text) :] or end)

"""`janitoo config show FILE`: what holds for every key of a server, and where it comes from."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from janitoo_actors.commands.tables import printable

if TYPE_CHECKING:
    # Imported when a file is to be shown, not for `--help`.
    from janitoo_actors.configuration.effective import Effective
    from janitoo_actors.configuration.model import Problem

_WIDEST = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the configuration file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print every section of the file that is used. Blocks for the disk, and for the import of the drivers.

    What is wrong goes to stderr. Returns 0 where all is well, 1 where a bus is left out, 78 where nothing would start.
    """
    from janitoo_actors.configuration.effective import effective
    from janitoo_actors.configuration.examination import LEFT_OUT, OK, UNUSABLE
    from janitoo_actors.configuration.ini import ConfigurationFileError, read
    from janitoo_actors.configuration.loader import load
    from janitoo_actors.configuration.registry import Registry

    try:
        config = load(args.file, Registry.installed())
        ini = read(args.file)
    except ConfigurationFileError as error:
        _complain(error.problems)
        return UNUSABLE
    sections = list(effective(config, ini))
    if args.json:
        document = {
            "file": str(args.file),
            "sections": [{"section": name, "keys": [_document(each) for each in keys]} for name, keys in sections],
        }
        sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
    else:
        sys.stdout.write("\n".join("\n".join(_lines(name, keys)) + "\n" for name, keys in sections))
    _complain(config.problems)
    return LEFT_OUT if config.problems else OK


def _complain(problems: Iterable[Problem]) -> None:
    for problem in problems:
        print(f"janitoo config: {problem}", file=sys.stderr)


def _lines(section: str, keys: list[Effective]) -> Iterator[str]:
    yield printable(f"[{section}]")
    texts = [printable(f"{each.key} = {'' if each.text is None else each.text}".rstrip()) for each in keys]
    width = max((len(text) for text in texts if len(text) <= _WIDEST), default=0)
    for text, each in zip(texts, keys, strict=True):
        yield f"{text:<{width}}  # {printable(each.where)}"


def _document(each: Effective) -> dict[str, Any]:
    option = each.option
    return {
        "key": each.key,
        "value": each.text,
        "origin": each.origin.value,
        "where": each.where,
        "line": each.line,
        "default": option.shown_default,
        "type": option.type.name,
        "allowed": option.type.allowed,
        "applies": option.applies.value,
        "help": option.help,
    }

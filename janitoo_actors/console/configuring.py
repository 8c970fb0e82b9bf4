"""The commands of the console about the configuration: `config show`, `diff`, `check`, `reload`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from janitoo_actors.commands.changes import change_lines
from janitoo_actors.commands.tables import printable
from janitoo_actors.console.screen import STATES, Screen
from janitoo_actors.console.session import DONE, Session, UsageError, asking
from janitoo_actors.suggest import did_you_mean


def show(session: Session, args: argparse.Namespace) -> int:
    """The configuration that runs."""
    result = session.ask("config")
    sections = result["sections"]
    if args.section is not None:
        if args.section not in sections:
            hint = did_you_mean(args.section, sections) or f"; there are: {', '.join(sections)}"
            raise UsageError(f"there is no section {printable(args.section)!r}{hint}")
        sections = {args.section: sections[args.section]}
    if session.screen.as_json:
        session.screen.document({**result, "sections": sections})
        return DONE
    session.screen.line(f"# {result['file']}, as it runs; defaults included", "dim")
    for name, keys in sections.items():
        session.screen.title(f"[{name}]")
        for key, item in keys.items():
            if item is not None:
                session.screen.line(f"{key} = {item}")
    for bus in result["waiting"]:
        session.screen.line(f"# [{bus}] has changes that wait for its restart", "yellow")
    return DONE


def add_section(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `show`."""
    parser.add_argument("section", metavar="SECTION", nargs="?", help="only this one")


def changes(request: str, nothing: str) -> Callable[[Session, argparse.Namespace], int]:
    """`diff`, or `reload`; and what to say where nothing is different."""

    def page(screen: Screen, result: Mapping[str, Any]) -> None:
        for line in change_lines(result, nothing):
            screen.line(line)
        for each in result["warnings"]:
            screen.line(f"warning: {each}", "yellow")

    return asking(request, page)


def check(session: Session, args: argparse.Namespace) -> int:  # noqa: ARG001 - as every command
    """As `janitoo check`, by the server: with its drivers, and what it may open. Its exit code."""
    result = session.ask("check")
    if session.screen.as_json:
        session.screen.document(result)
    else:
        for line, each in zip(result["lines"], result["findings"], strict=True):
            session.screen.line(line, STATES.get(each["severity"], ""))
        session.screen.line(result["summary"])
    code: int = result["exit_code"]
    return code

"""python -m benchmarks [--quick] [--only NAME] [--json FILE]"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    actors,
    console,
    failing,
    growing,
    machine,
    network,
    path,
    requests,
    resting,
    starting,
)
from benchmarks.context import Context
from benchmarks.figures import Figure, markdown, table

BENCHMARKS: Final[Mapping[str, Callable[[Context], Iterator[Figure]]]] = {
    "server": starting.server,
    "start": starting.start,
    "requests": requests.requests,
    "rest": resting.rest,
    "growth": growing.growth,
    "actors": actors.actors,
    "path": path.path,
    "failing": failing.failing,
    "network": network.network,
    "console": console.console,
}
_BUILD: Final = Path("build")


def main() -> int:
    """Run them, print their tables, and write what they found; the exit code is 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Janitoo Actors.")
    parser.add_argument("--quick", action="store_true", help="a rough answer, within a minute")
    parser.add_argument("--only", metavar="NAME", choices=list(BENCHMARKS), help=f"one of {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", metavar="FILE", type=Path, default=_BUILD / "bench.json", help="where to write it")
    parser.add_argument(
        "--markdown", metavar="FILE", type=Path, help="where to write the tables for docs/benchmarks.md"
    )
    args = parser.parse_args()
    facts = machine.facts()
    print(_facts_line(facts), end="\n\n")
    found: dict[str, list[Figure]] = {}
    _BUILD.mkdir(exist_ok=True)
    # Not in /tmp, which may be in memory: what is written must reach a disk.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_BUILD) as folder:
        context = Context(Path(folder).resolve(), args.quick)
        for name, benchmark in BENCHMARKS.items():
            if args.only in {None, name}:
                began = time.monotonic()
                found[name] = list(benchmark(context))
                print(table(f"{name} ({time.monotonic() - began:.0f} s)", found[name]), end="\n\n", flush=True)
    facts["load_after"] = machine.load()
    args.json.parent.mkdir(parents=True, exist_ok=True)
    figures = {name: [figure.as_json() for figure in figures] for name, figures in found.items()}
    report = {"machine": facts, "quick": args.quick, "benchmarks": figures}
    args.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if args.markdown is not None:
        args.markdown.write_text(f"{_facts_line(facts)}\n\n{markdown(found)}\n", encoding="utf-8")
    print(f"written to {args.json}; load now {facts['load_after'][0]}")
    missed = [figure.name for figures in found.values() for figure in figures if figure.misses_its_goal]
    if missed:
        print(f"goals missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _facts_line(facts: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    computer = f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, {facts['python']}"
    return f"{computer}, {libraries}; load {facts['load'][0]}"


if __name__ == "__main__":
    sys.exit(main())

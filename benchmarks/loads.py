"""Loads in processes of their own: python -m MODULE NAME ARGUMENTS-AS-JSON. What it finds is printed as JSON."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from pykka import ActorRegistry

Found = dict[str, float]
"""What a load finds: names and numbers."""

_TIMEOUT: Final = 300.0


def in_a_process(module: str, load: str, *arguments: Any) -> Found:
    """Run a load of a module in a fresh process: nothing of another one is in its memory."""
    command = [sys.executable, "-m", module, load, json.dumps(arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT).stdout
    found: Found = json.loads(output)
    return found


def medians(runs: int, module: str, load: str, *arguments: Any) -> Found:
    """The medians of what several runs find."""
    found = [in_a_process(module, load, *arguments) for _ in range(runs)]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def run(loads: Mapping[str, Callable[..., Found]]) -> None:
    """The program of a module with loads."""
    print(json.dumps(loads[sys.argv[1]](*json.loads(sys.argv[2]))))
    ActorRegistry.stop_all(block=False)

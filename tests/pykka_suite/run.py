"""Runs Pykka's own test-suite, as released with the installed Pykka, against light and pinned actors.

`make test-pykka` runs it, with options of pytest after it if you call it yourself. The suite is in Pykka's source
distribution, which pip downloads into `build/` once for each version.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Final

import pytest

import supervisors
from supervisors.dispatcher import AskFuture

DEVIATIONS: Final[dict[str, str]] = {
    "tests/test_actor.py::test_all_actors_are_stopped_on_base_exception": (
        "A BaseException ends its own actor, whose supervisor then decides: no death stops other actors. As it is an "
        "end by an error, `on_failure` runs, and not `on_stop`."
    ),
    "tests/test_logging.py::test_base_exception_is_logged": (
        "The same: there is no stop of all actors to log. It is logged as any error that ends an actor."
    ),
}
"""Why a test is expected to fail. One that passes is an error, and so is one that does not exist."""

BUILD = Path(__file__).resolve().parents[2] / "build"
PIP_TIMEOUT = 120.0
LONG_WAIT, SHORT_WAIT = 10.0, 0.5
KINDS = (supervisors.LightActor, supervisors.PinnedActor)


class Event(threading.Event):
    """An event for which nobody waits longer than for so many seconds."""

    longest = LONG_WAIT

    def wait(self, timeout: float | None = None) -> bool:
        """See `threading.Event.wait`."""
        return super().wait(self.longest if timeout is None else min(timeout, self.longest))


class OurActors:
    """A plugin that gives the suite our actors instead of Pykka's."""

    def __init__(self) -> None:
        self.unused = set(DEVIATIONS)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Have a test that is to fail not wait for long for what never happens."""
        Event.longest = SHORT_WAIT if test_name(item) in DEVIATIONS else LONG_WAIT

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Have each test run with both kinds: a mark takes precedence over the fixture's own parameters."""
        if "runtime" not in metafunc.fixturenames:
            return
        runtime = importlib.import_module("tests.types").Runtime
        ours = [
            pytest.param(
                runtime(
                    name="threading",
                    actor_class=kind,
                    event_class=Event,
                    future_class=AskFuture,
                    sleep_func=time.sleep,
                ),
                id=kind.__name__,
            )
            for kind in KINDS
        ]
        mark = pytest.mark.parametrize("runtime", ours, indirect=True, scope="session")
        metafunc.definition.add_marker(mark)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is of Pykka alone, and mark what is to fail."""
        alone = [item for item in items if "runtime" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=alone)
        items[:] = [item for item in items if item not in alone]
        for item in items:
            name = test_name(item)
            if name in DEVIATIONS:
                self.unused.discard(name)
                item.add_marker(pytest.mark.xfail(reason=DEVIATIONS[name], strict=True))


def test_name(item: pytest.Item) -> str:
    """The name of a test without its parameters, as in the list of deviations."""
    return item.nodeid.partition("[")[0]


def suite() -> Path | None:
    """The directory of the installed version's source distribution; None where it cannot be had."""
    release = f"pykka-{importlib.metadata.version('pykka')}"
    unpacked = BUILD / release
    if unpacked.is_dir():
        return unpacked
    download = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--retries", "1"]
    # Only Pykka from its source: pip asks it for its metadata, and takes as a wheel what it needs for that.
    download += ["--no-deps", "--no-binary", "pykka", "--dest", str(BUILD), release.replace("-", "==")]
    try:
        subprocess.run(download, check=True, timeout=PIP_TIMEOUT, capture_output=True, text=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = str(error.stderr or error).strip().splitlines()[-1:]
        print(f"Pykka's own tests are left out: pip could not download them ({''.join(said)}).")
        return None
    with tarfile.open(BUILD / f"{release}.tar.gz") as archive:
        archive.extractall(BUILD, filter="data")
    return unpacked


def main() -> int:
    """Run the suite; the exit status."""
    directory = suite()
    if directory is None:
        return 0
    # From there: its tests are the package `tests`, and our settings are not for it.
    os.chdir(directory)
    ours = OurActors()
    options = ["-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "--timeout", "20"]
    status = int(pytest.main([*options, *(sys.argv[1:] or ["tests"])], plugins=[ours]))
    if not sys.argv[1:] and ours.unused:
        print(f"There is no such test in Pykka's suite: {', '.join(sorted(ours.unused))}")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())

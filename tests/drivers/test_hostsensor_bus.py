"""The hostsensor bus, and how its driver is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from drivers.hostsensor import HostsensorBus
from janitoo_actors.api import PermanentError


def test_psutil_is_imported_when_the_bus_opens_and_not_before() -> None:
    # In a process of its own, where nothing else has imported it.
    program = """
import sys
from drivers.hostsensor import HostsensorBus
assert "psutil" not in sys.modules
bus = HostsensorBus()
bus.open()
assert "psutil" in sys.modules
bus.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_without_psutil_the_bus_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(PermanentError, match="pip install psutil"):
        HostsensorBus().open()


def test_a_bus_that_did_not_open_can_be_closed() -> None:
    HostsensorBus().close()

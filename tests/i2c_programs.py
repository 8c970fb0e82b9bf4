"""Programs that use chips on an I2C bus, for the tests of drivers."""

from __future__ import annotations

from typing import Any

from fake_buses import FakeBuses

PROGRAM = """
import json
from drivers.i2c import *
from janitoo_actors.errors import said
from janitoo_actors.api import Instance

bus = I2cBus()
bus.open()

def made(kind, **options):
    device = kind("rpii2c__x", {key: str(value) for key, value in options.items()})
    device.bus = bus
    return device

def tried(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = []
"""


def run(buses: FakeBuses, script: str) -> Any:
    """Run a script with these at hand; what it has found."""
    return buses.run(f"{PROGRAM}{script}\nprint(json.dumps(found))")

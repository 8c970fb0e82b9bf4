"""Programs that use the drivers of chips in a process with simulated buses, and tell what they have found."""

from __future__ import annotations

from typing import Any

from fake_buses import FakeBuses

PROGRAM = """
import json
from drivers.{package} import *
from janitoo_actors.errors import said
from janitoo_actors.api import Instance

bus = {bus}()
bus.open()

def made(kind, **options):
    device = kind(f"{{bus.oid}}__x", {{key: str(value) for key, value in options.items()}})
    device.bus = bus
    return device

def tried(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"

found = []
"""
I2C = PROGRAM.format(package="i2c", bus="I2cBus")
SPI = PROGRAM.format(package="spi", bus="SpiBus")


def run(buses: FakeBuses, script: str, program: str = I2C) -> Any:
    """Run a script with these at hand; what it has found."""
    return buses.run(f"{program}{script}\nprint(json.dumps(found))")

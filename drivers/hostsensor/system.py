"""The load of the machine, and for how long it has been up."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar, Final

from janitoo_actors.api import Component, Genre, Instance, Instances, TemporaryError, Value, ValueType

_PERIOD: Final = re.compile(r"(1|5|15)( minutes)?")
# The order in which the kernel gives its three averages.
_PERIODS: Final = (1, 5, 15)


def _minutes(text: str) -> int:
    """The period that a configuration names, in minutes: "5 minutes", or 5."""
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        raise ValueError('expected 1, 5 or 15 minutes, as "5 minutes" or 5')
    return int(match[1])


class Load(Component):
    """The load average: how many processes run or wait to run."""

    oid = "hostsensor.load"
    name = "Load"
    product_name = "Load statistics"

    load = Value(
        "sensor_float",
        help="The load average",
        genre=Genre.BASIC,
        poll_delay=60,
        instances=Instances(
            label="loadavg",
            help="The load average index (1, 5, and 15m)",
            # The original's type for it, though its data are texts as "5 minutes".
            type=ValueType.BYTE,
            defaults=("1 minutes", "5 minutes", "15 minutes"),
            parse=_minutes,
        ),
    )

    @load.reader
    def read_load(self, instance: Instance) -> float:
        """The load average of the instance's period. On the bus's thread; does not block.

        Raises:
            OSError: the kernel does not say.
        """
        return os.getloadavg()[_PERIODS.index(instance.config)]


class Uptime(Component):
    """For how long the machine has been up.

    Attributes:
        proc: where the kernel shows its figures; another place in tests.
    """

    oid = "hostsensor.uptime"
    name = "Uptime"
    product_name = "Uptime statistics"
    proc: ClassVar[Path] = Path("/proc")

    uptime = Value("sensor_float", help="Uptime in seconds", genre=Genre.BASIC, poll_delay=300)

    @uptime.reader
    def read_uptime(self, _instance: Instance) -> float:
        """The uptime in seconds, to the hundredth. On the bus's thread; does not block.

        Not the time since `psutil.boot_time()`, which jumps with the clock: a Raspberry Pi has the wrong time
        until the network is there.

        Raises:
            TemporaryError: the kernel does not say.
        """
        file = self.proc / "uptime"
        try:
            return float(file.read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError) as error:
            raise TemporaryError(f"{file} does not say for how long the machine is up: {error}") from error

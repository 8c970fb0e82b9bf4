"""The CPU's temperature, frequency and voltage: of a Raspberry Pi, and what other machines have of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar, Final

from janitoo_actors.api import Component, Instance, TemporaryError, Value

_POLL: Final = 60
# The thermal zones that are the CPU's, the best first: Pi 4 and 5, Pi 3 and older kernels, other boards, PCs.
_CPU_ZONES: Final = (
    "cpu-thermal",
    "cpu_thermal",
    "bcm2835_thermal",
    "soc-thermal",
    "soc_thermal",
    "x86_pkg_temp",
)
# As in temp=55.8'C, frequency(48)=1400000000, volt=1.3688V
_ANSWER: Final = re.compile(r"[a-z]+(?:\([0-9]+\))?=(-?[0-9]+(?:\.[0-9]+)?)(?:'C|V)?\s*")


class PiCpu(Component):
    """The temperature, frequency and voltage of the CPU.

    From sysfs; where that has nothing, from the Raspberry Pi's `vcgencmd`, where that is installed. What a
    machine does not have is None and no error: a PC has no voltage, and most virtual machines have nothing of
    all this.

    Attributes:
        sysfs: where sysfs is mounted; another place in tests.
        command_timeout: seconds that `vcgencmd` has. It needs some milliseconds, or its firmware hangs.
    """

    oid = "hostsensor.picpu"
    name = "CPU"
    product_name = "CPU statistics"
    sysfs: ClassVar[Path] = Path("/sys")
    command_timeout: ClassVar[float] = 2

    temperature = Value("sensor_temperature", help="The temperature of the CPU", poll_delay=_POLL)
    frequency = Value("sensor_frequency", help="The frequency of the CPU", poll_delay=_POLL)
    voltage = Value("sensor_voltage", help="The voltage of the CPU", poll_delay=_POLL)

    @temperature.reader
    def read_temperature(self, _instance: Instance) -> float | None:
        """Degrees Celsius. On the bus's thread; blocks up to `command_timeout`.

        Raises:
            TemporaryError: `vcgencmd` was needed and did not answer in time.
        """
        zone = self._cpu_zone()
        millidegrees = _number(zone / "temp") if zone is not None else None
        if millidegrees is not None:
            return millidegrees / 1000
        return self._vcgencmd("measure_temp")

    @frequency.reader
    def read_frequency(self, _instance: Instance) -> float | None:
        """MHz, of the first CPU. On the bus's thread; blocks up to `command_timeout`.

        Raises:
            TemporaryError: `vcgencmd` was needed and did not answer in time.
        """
        kilohertz = _number(self.sysfs / "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
        if kilohertz is not None:
            return kilohertz / 1000
        hertz = self._vcgencmd("measure_clock", "arm")
        return hertz / 1_000_000 if hertz is not None else None

    @voltage.reader
    def read_voltage(self, _instance: Instance) -> float | None:
        """Volts, of the core. On the bus's thread; blocks up to `command_timeout`.

        Raises:
            TemporaryError: `vcgencmd` did not answer in time.
        """
        return self._vcgencmd("measure_volts", "core")

    def _cpu_zone(self) -> Path | None:
        """The CPU's thermal zone. Looked up anew each time: zones come and go with their modules."""
        found: dict[str, Path] = {}
        for zone in sorted(self.sysfs.glob("class/thermal/thermal_zone*")):
            found.setdefault(_text(zone / "type"), zone)
        return next((found[kind] for kind in _CPU_ZONES if kind in found), None)

    def _vcgencmd(self, *arguments: str) -> float | None:
        """The number that `vcgencmd` answers; None where it is absent, or this machine is no Raspberry Pi."""
        command = shutil.which("vcgencmd")
        if command is None:
            return None
        try:
            done = subprocess.run(
                [command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.command_timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TemporaryError(
                f"vcgencmd {' '.join(arguments)} did not answer within {self.command_timeout:g} s"
            ) from None
        except OSError:
            # It cannot be executed, as a program for another processor.
            return None
        # It fails, or answers with a sentence, where there is no firmware to ask or the user may not.
        match = _ANSWER.fullmatch(done.stdout.decode("ascii", "replace"))
        return float(match[1]) if done.returncode == 0 and match is not None else None


def _text(file: Path) -> str:
    """What a file of sysfs says; nothing where it is absent or its driver refuses."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    try:
        return int(_text(file))
    except ValueError:
        return None

"""The library of lm-sensors, by PySensors: one for the whole process, begun once, and anew when chips come or go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drivers.libraries import library
from janitoo_actors.api import ConfigurationError, TemporaryError

DEFAULT_FILE: Final = "/etc/sensors3.conf"
_HWMON: Final = "/sys/class/hwmon"
_INPUT: Final = "_input"


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that a chip measures.

    Attributes:
        chip: the chip, as `coretemp-isa-0000`.
        name: as `temp1`.
        label: what the configuration of lm-sensors calls it.
        source: what reads it: its `*_input`, and not its first part, which may be an alarm. Of no use any more when the
            chips have been looked for again.
    """

    chip: str
    name: str
    label: str
    source: Any

    def __str__(self) -> str:
        """Its name, which no other one has."""
        return f"{self.chip}/{self.name}"

    @property
    def kind(self) -> str:
        """What it measures, as `temp`."""
        return self.name.rstrip("0123456789")

    def is_called(self, text: str) -> bool:
        """Whether a configuration means this one."""
        return text in {self.name, self.label, f"{self.chip}/{self.name}", f"{self.chip}/{self.label}"}


class LibSensors:
    """The library, for all who use it. Any thread.

    To look for chips again is to free what a read may be at. So that waits for the reads under way: where one hangs,
    the chips are those that there were.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sensors: Any = None
        self._file = ""
        self._users: list[object] = []
        self._reads = 0
        self._found: tuple[Feature, ...] = ()
        self._seen: object = None

    def join(self, user: object, file: str, oid: str) -> None:
        """Begin to use it.

        Args:
            file: the configuration of lm-sensors. The library has one for the process.

        Raises:
            PermanentError: PySensors or libsensors is not installed.
            ConfigurationError: there is no such file, it is wrong, or somebody of this process has another one.
            TemporaryError: a read that hangs keeps it from taking another file.
        """
        with self._lock:
            if user in self._users:
                return
            if self._users and file != self._file:
                raise ConfigurationError(
                    f"config_filename_0 = {file}: lm-sensors has one such file in a process, and that is {self._file} "
                    "already: write the same one, or isolation = process for one of the buses"
                )
            sensors = library("sensors", oid)
            if self._sensors is not None and file != self._file:
                # Nobody has closed it, as a read was under way at the end.
                if self._reads:
                    raise TemporaryError(f"a read of lm-sensors hangs: {file} is taken when it is back")
                self._end()
            if self._sensors is None:
                self._begin(sensors, file)
            self._users.append(user)

    def leave(self, user: object) -> None:
        """Use it no more; nothing where it was not used."""
        with self._lock:
            if user in self._users:
                self._users.remove(user)
            if not self._users and not self._reads:
                self._end()

    def features(self) -> Sequence[Feature]:
        """What can be measured now, in the order of the chips' names."""
        with self._lock:
            return self._now()

    def value(self, pick: Callable[[Sequence[Feature]], Feature]) -> float:
        """Read what is picked of what can be measured now. Blocks for the kernel.

        Raises:
            TemporaryError: it cannot be read now.
            Exception: whatever `pick` raises.
        """
        with self._lock:
            sensors = self._sensors
            feature = pick(self._now())
            self._reads += 1
        try:
            return float(feature.source.get_value())
        except sensors.SensorsError as error:
            raise TemporaryError(f"{feature} cannot be read: {_said(error)}") from error
        finally:
            with self._lock:
                self._reads -= 1

    def _now(self) -> tuple[Feature, ...]:
        """What there is, looked for again where the kernel has other chips than at the last time."""
        if self._sensors is not None and not self._reads and _chips() != self._seen:
            sensors = self._sensors
            self._end()
            self._begin(sensors, self._file)
        return self._found

    def _begin(self, sensors: Any, file: str) -> None:
        """Begin, and find what there is: not more often than needed, as each look takes memory for ever."""
        seen = _chips()
        try:
            if Path(file).is_file():
                # Of what it cannot read, as a folder, the library ends the process.
                sensors.init(file.encode())
            elif file == DEFAULT_FILE:
                # With its own defaults: many machines have no file at all.
                sensors._init(None)
            else:
                what = "expected a file" if Path(file).exists() else "there is no such file"
                raise ConfigurationError(f"config_filename_0 = {file}: {what}")
        except OSError as error:
            raise ConfigurationError(f"config_filename_0 = {file}: {error.strerror}") from error
        except sensors.SensorsError as error:
            raise ConfigurationError(f"config_filename_0 = {file}: {_said(error)}") from error
        self._sensors, self._file, self._seen = sensors, file, seen
        self._found = tuple(sorted(_features(sensors), key=lambda each: each.chip))

    def _end(self) -> None:
        if self._sensors is not None:
            # A second begin without that would double every chip.
            self._sensors.cleanup()
        self._sensors, self._found, self._seen = None, (), None


LIBRARY: Final = LibSensors()


def _chips() -> object:
    """Which chips the kernel has: something that is different when one has come, gone, or come again."""
    try:
        with os.scandir(_HWMON) as entries:
            return sorted((each.name, each.stat().st_ino) for each in entries)
    except OSError:
        # There are none, or one has gone just now: looked at again at the next read.
        return None


def _features(sensors: Any) -> Iterator[Feature]:
    for chip in sensors.iter_detected_chips():
        for feature in chip:
            source = next((each for each in feature if each.name == f"{feature.name}{_INPUT}"), None)
            if source is not None:
                yield Feature(str(chip), feature.name, feature.label, source)


def _said(error: Exception) -> str:
    text = error.args[0]
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)

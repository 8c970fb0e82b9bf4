"""The sensors on the main board, as `sensors` shows them, on PySensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from drivers.libraries import library
from janitoo_actors.api import Component, ConfigurationError, Instance, Instances, Setting, TemporaryError, Value

_DEFAULT: Final = "/etc/sensors3.conf"
_OID: Final = "hostsensor.lmsensor"
_INPUT: Final = "_input"


@dataclass(frozen=True, slots=True)
class _Feature:
    """One thing that a chip measures.

    Attributes:
        chip: the chip, as `coretemp-isa-0000`.
        name: as `temp1`.
        label: what the configuration of lm-sensors calls it.
        source: what reads it: its `*_input`, and not its first part, which may be an alarm.
    """

    chip: str
    name: str
    label: str
    source: Any

    def is_called(self, text: str) -> bool:
        """Whether a configuration means this one."""
        return text in {self.name, self.label, f"{self.chip}/{self.name}", f"{self.chip}/{self.label}"}


def _named(kind: str, unit: str) -> Instances:
    return Instances(
        label="lmsensor",
        help=f"The name of the lmsensor, as {kind}1, its label, or chip/{kind}1; empty for the first one, in {unit}",
        defaults=("",),
    )


class LmSensor(Component):
    """Temperatures, voltages and fans of the main board.

    Attributes:
        users: how many components of this process use the library, which is to be begun once.
    """

    oid = _OID
    name = "lm-sensors"
    product_name = "lm-sensors"
    product_type = "Software"
    requires = ("sensors",)
    users: ClassVar[int] = 0

    config_filename: Setting[str] = Setting(
        "config_string", default=_DEFAULT, help="The full path/name of config file to use"
    )
    temperature = Value(
        "sensor_temperature", help="The temperatures from lm-sensors", poll_delay=60, instances=_named("temp", "°C")
    )
    voltage = Value("sensor_voltage", help="The voltage from lm-sensors", poll_delay=90, instances=_named("in", "V"))
    fan = Value(
        "sensor_rotation_speed",
        help="The speeds of fans from lm-sensors",
        poll_delay=60,
        instances=_named("fan", "revolutions a minute"),
    )

    _sensors: Any = None
    _found: tuple[_Feature, ...] = ()

    def close(self) -> None:
        """Give the library back."""
        if self._sensors is not None:
            sensors, self._sensors, self._found = self._sensors, None, ()
            type(self).users -= 1
            if not type(self).users:
                sensors.cleanup()

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float | None:
        """°C; None where the machine measures none. On the bus's thread; blocks for the kernel.

        Raises:
            PermanentError: PySensors or libsensors is not installed.
            ConfigurationError: there is none of this name.
            TemporaryError: it cannot be read now.
        """
        return self._read("temp", instance.text)

    @voltage.reader
    def read_voltage(self, instance: Instance) -> float | None:
        """Volts. As `read_temperature`."""
        return self._read("in", instance.text)

    @fan.reader
    def read_fan(self, instance: Instance) -> float | None:
        """Revolutions a minute. As `read_temperature`."""
        return self._read("fan", instance.text)

    def _read(self, kind: str, text: str) -> float | None:
        if self._sensors is None:
            self._begin()
        those = [each for each in self._found if each.name.rstrip("0123456789") == kind]
        wanted = [each for each in those if not text or each.is_called(text)]
        if not wanted:
            if not text:
                return None
            names = ", ".join(f"{each.chip}/{each.name}" for each in those) or "none"
            raise ConfigurationError(f"lm-sensors has no {text!r}: expected one of {names}")
        try:
            return float(wanted[0].source.get_value())
        except self._sensors.SensorsError as error:
            reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
            raise TemporaryError(f"{wanted[0].chip}/{wanted[0].name} cannot be read: {reason}") from error

    def _begin(self) -> None:
        """Begin to use the library, and find what there is: once, as each look at all chips takes memory for ever."""
        sensors = library("sensors", _OID)
        file = Path(self.setting("config_filename"))
        if not type(self).users:
            # A second time would double every chip.
            if file.exists():
                sensors.init(str(file).encode())
            elif str(file) == _DEFAULT:
                # With its own defaults: many machines have no file at all.
                sensors._init(None)
            else:
                raise ConfigurationError(f"config_filename_0 = {file}: there is no such file")
        type(self).users += 1
        self._sensors = sensors
        self._found = tuple(_features(sensors))


def _features(sensors: Any) -> Iterator[_Feature]:
    for chip in sensors.iter_detected_chips():
        for feature in chip:
            source = next((each for each in feature if each.name == f"{feature.name}{_INPUT}"), None)
            if source is not None:
                yield _Feature(str(chip), feature.name, feature.label, source)

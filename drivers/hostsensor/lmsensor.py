"""The sensors on the main board, as `sensors` shows them, on PySensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from drivers.hostsensor.libsensors import DEFAULT_FILE, LIBRARY, Feature
from janitoo_actors.api import (
    Component,
    ConfigurationError,
    Instance,
    Instances,
    Setting,
    TemporaryError,
    Value,
)

_OID: Final = "hostsensor.lmsensor"
_TIMEOUT: Final = 3.0
"""Seconds. A chip behind a bus that is stuck does not answer, and the kernel waits with it."""


def _named(kind: str, unit: str) -> Instances:
    return Instances(
        label="lmsensor",
        help=f"The name of the lmsensor, as {kind}1, its label, or chip/{kind}1; empty for the first one, in {unit}",
        defaults=("",),
    )


class LmSensor(Component):
    """Temperatures, voltages and fans of the main board. Chips may come and go."""

    oid = _OID
    name = "lm-sensors"
    product_name = "lm-sensors"
    product_type = "Software"
    requires = ("sensors",)

    config_filename: Setting[str] = Setting(
        "config_string", default=DEFAULT_FILE, help="The full path/name of config file to use"
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

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        # What was meant, by kind and configuration: the same when chips have come or gone.
        self._meant: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """Give the library back."""
        LIBRARY.leave(self)

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float | None:
        """°C; None where the machine measures none. On the bus's thread; blocks for the kernel, for 3 s at most.

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
        # Not when it is opened: what is wrong with it concerns no other component of the bus.
        LIBRARY.join(self, self.config_filename, self.oid)
        feature = self._picked(kind, text, LIBRARY.features())
        if feature is None:
            return None
        name = str(feature)
        # On the thread of the read: the chips may be others by then.
        return self.within(_TIMEOUT, name, lambda: LIBRARY.value(lambda them: _of(name, them)))

    def _picked(self, kind: str, text: str, features: Sequence[Feature]) -> Feature | None:
        """What a configuration means; None where it means the first one, and there is none."""
        meant = self._meant.get((kind, text))
        if meant is not None:
            return _of(meant, features)
        those = [each for each in features if each.kind == kind]
        wanted = [each for each in those if not text or each.is_called(text)]
        if wanted:
            self._meant[kind, text] = str(wanted[0])
            return wanted[0]
        if not text:
            return None
        names = ", ".join(str(each) for each in those) or "none"
        raise ConfigurationError(f"lm-sensors has no {text!r}: expected one of {names}")


def _of(name: str, features: Sequence[Feature]) -> Feature:
    for each in features:
        if str(each) == name:
            return each
    names = ", ".join(str(each) for each in features) or "none"
    raise TemporaryError(f"{name} has gone: is its chip there, and its driver loaded? There are: {names}")

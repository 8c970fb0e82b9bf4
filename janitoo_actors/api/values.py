"""How a driver declares its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

from janitoo_actors.api.options import Duration, OptionType
from janitoo_actors.api.schema import INDEX, Applies, Option
from janitoo_actors.api.types import coerce, to_text
from janitoo_actors.protocol.codes import Genre, ValueType
from janitoo_actors.protocol.entries import standard_entry

if TYPE_CHECKING:
    from pathlib import Path

    from janitoo_actors.api.device import Device

T = TypeVar("T")
_ALLOWED: Final = {
    ValueType.BOOL: "True or False",
    ValueType.BYTE: "a whole number from 0 to 255",
    ValueType.SHORT: "a whole number from -32768 to 32767",
    ValueType.INT: "a whole number",
    ValueType.DECIMAL: "a number",
    ValueType.HADD: "an address CCCC/NNNN, as 0121/0001",
    ValueType.IP: "an IP address",
    ValueType.RGB: "a colour as #rrggbb",
    ValueType.JSON: "JSON",
    ValueType.ARRAY: "a JSON array",
}
"""What the data of a setting may be, for people, where they are not a text."""

_Reader = TypeVar("_Reader", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a value: the disk of a path, the load of a period.

    Attributes:
        index: its number on the wire, from 0.
        config: what its configuration is (`<value>_config_<index>`), as `Instances.parse` made it; None where
            the value has none.
        text: the same as the file has it.
    """

    index: int = 0
    config: Any = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Instances:
    """That a value has an instance for each `<value>_config_<index>` of its section.

    Attributes:
        label, help, type: those of the config value `<value>_config` on the wire.
        defaults: the configurations where the section has none.
        parse: makes the text into what `Instance.config` holds; raises ValueError("expected …") where it cannot.
        follows: another value whose instances this one takes where its own are not configured.
        applies: how a change of a configuration is applied to a running server.
        units: says the units of an instance by its configuration, as `parse` made it; None for those of the value.
    """

    label: str
    help: str
    type: ValueType = ValueType.STRING
    defaults: Sequence[str] = ("",)
    parse: Callable[[str], Any] = str
    follows: str | None = None
    applies: Applies = Applies.IN_PLACE
    units: Callable[[Any], str | None] | None = None


class InstanceType(OptionType[Any]):
    """The type of an option that makes an instance: what the driver's `parse` takes."""

    name = "text"

    def __init__(self, instances: Instances) -> None:
        self.instances = instances

    @property
    def allowed(self) -> str:
        """Only the driver's parser knows, and says it where the text is wrong."""
        examples = [f'"{each}"' for each in self.instances.defaults if each]
        return f"{self.name}, as {' or '.join(examples)}" if examples else self.name

    def parse(self, text: str, folder: Path | None = None) -> Any:  # noqa: ARG002 - it has no paths
        """What the driver makes of it."""
        return self.instances.parse(text)


class SettingType(OptionType[Any]):
    """The type of a setting: what its entry takes, and the driver's `parse`."""

    def __init__(self, setting: Setting[Any]) -> None:
        self.setting = setting
        self.name = setting.type.name.lower()
        self.is_secret = setting.type is ValueType.PASSWORD

    @property
    def allowed(self) -> str:
        """The type of its entry, its range, its items."""
        value = self.setting
        if value.list_items:
            return f"one of {self.limits}"
        what = _ALLOWED.get(value.type, "a text of one line")
        return f"{what}, {self.limits}" if self.limits else what

    @property
    def limits(self) -> str:
        """Its range, or its items."""
        value = self.setting
        if value.list_items:
            return ", ".join(value.list_items)
        if value.minimum == value.maximum:
            return ""
        limits = [f"{value.minimum:g} or more"] if value.minimum is not None else []
        limits += [f"{value.maximum:g} or less"] if value.maximum is not None else []
        return ", ".join(limits)

    def parse(self, text: str, folder: Path | None = None) -> Any:  # noqa: ARG002 - it has no paths
        """The data that the setting holds."""
        return self.setting.coerce(text)

    def text(self, data: Any) -> str:
        """The data as the file holds them."""
        return to_text(data)


class Value:
    """A value that a driver reads, or writes, or both.

    What the declaration does not say, the standard entry does.

    Args:
        entry: the standard entry's name, as `sensor_temperature`.
        help: a sentence for people, on the wire and in the documentation.
        label: for people; the value's name with a capital where not given.
        poll_delay: seconds between polls; 0 where it is not polled until somebody asks for it.
        instances: where the value has instances by configuration.

    Raises:
        LookupError: where there is no such standard entry.
    """

    uuid: str

    def __init__(
        self,
        entry: str,
        *,
        help: str,
        label: str | None = None,
        type: ValueType | None = None,
        genre: Genre | None = None,
        units: str | None = None,
        cmd_class: int | None = None,
        list_items: Sequence[str] | None = None,
        minimum: float | None = None,
        maximum: float | None = None,
        default: Any = None,
        poll_delay: float | None = None,
        instances: Instances | None = None,
    ) -> None:
        standard = standard_entry(entry)
        self.entry = entry
        self.help = help
        self._label = label
        self.genre = genre if genre is not None else standard.genre
        self.type = type if type is not None else standard.type
        self.cmd_class = cmd_class if cmd_class is not None else standard.cmd_class
        self.units = units if units is not None else standard.units
        self.list_items = tuple(list_items) if list_items is not None else standard.list_items
        self.minimum = minimum if minimum is not None else standard.min
        self.maximum = maximum if maximum is not None else standard.max
        self.default = default if default is not None else standard.default
        self.is_readonly = standard.is_readonly
        self.is_writeonly = standard.is_writeonly
        self.poll_delay = poll_delay if poll_delay is not None else standard.poll_delay
        self.instances = instances
        self.read_by: str | None = None
        self.written_by: str | None = None

    def __set_name__(self, owner: type[Device], name: str) -> None:
        """Take the attribute's name as the value's uuid."""
        self.uuid = name

    @property
    def label(self) -> str:
        """For people; the original capitalises the uuid."""
        return self._label if self._label is not None else self.uuid.capitalize()

    @property
    def is_polled(self) -> bool:
        """Whether the value has a poll delay, and so a config value `<value>_poll`."""
        return self.read_by is not None and self.poll_delay is not None

    def reader(self, method: _Reader) -> _Reader:
        """Decorate the method that reads one instance: `(self, instance: Instance) -> data`.

        The bus's thread calls it, and it may block that thread, no longer than `read_timeout`. None means that there
        is nothing to read. It raises `TemporaryError` (or any exception) where the read failed.
        """
        self.read_by = method.__name__
        return method

    def writer(self, method: _Reader) -> _Reader:
        """Decorate the method that writes one instance: `(self, instance: Instance, data: Any) -> None`.

        The bus's thread calls it, with data of the value's type and within its limits.
        """
        self.written_by = method.__name__
        return method

    def options(self) -> Iterator[Option[Any]]:
        """The options that configure it: `load_config_<index>`, `load_poll_0`."""
        if self.instances is not None:
            follows = self.instances.follows
            hint = f"; those of {follows} where there is none" if follows is not None else ""
            yield Option(
                InstanceType(self.instances),
                help=f"{self.instances.help}{hint}",
                defaults=self.instances.defaults,
                applies=self.instances.applies,
                key=f"{self.uuid}_config_{INDEX}",
            )
        if self.is_polled and self.poll_delay is not None:
            yield Option(
                Duration(),
                help=f"How often {self.uuid} is read and published; 0: never",
                default=self.poll_delay,
                applies=Applies.IN_PLACE,
                key=f"{self.uuid}_poll_0",
            )

    def coerce(self, raw: Any) -> Any:
        """The data that `raw` stands for; ValueError("expected …") where it is none of this value's."""
        return coerce(self.type, raw, minimum=self.minimum, maximum=self.maximum, items=self.list_items)


class Setting(Value, Generic[T]):
    """A configuration value of a device: an option `<name>_0` of its section, changed over the air.

    On a device, the attribute is the setting's data, of the type of its entry:

        pin = Setting[int]("config_byte", default=4, help="The pin", label="pin")
        … self.pin

    Args:
        entry: a `config_*` entry.
        parse: a further check: makes the data into what the attribute gives, or raises ValueError("expected …").
        applies: how a change is applied to a running server: `Applies.RESTART_BUS` where the device must be opened
            anew, as for a pin.
    """

    def __init__(
        self,
        entry: str,
        *,
        parse: Callable[[Any], T] | None = None,
        applies: Applies = Applies.IN_PLACE,
        **declared: Any,
    ) -> None:
        super().__init__(entry, **declared)
        self.parse = parse
        self.applies = applies

    def options(self) -> Iterator[Option[Any]]:
        """The options that configure it: `pin_<index>`."""
        default = () if self.default is None else (to_text(self.default),)
        yield Option(
            SettingType(self), help=self.help, defaults=default, applies=self.applies, key=f"{self.uuid}_{INDEX}"
        )

    @property
    def label(self) -> str:
        """For people; the original labels a config value with its uuid."""
        return self._label if self._label is not None else self.uuid

    def coerce(self, raw: Any) -> Any:
        """The data that `raw` stands for; ValueError("expected …") where it is none of this setting's."""
        data = super().coerce(raw)
        if self.parse is not None:
            self.parse(data)
        return data

    @overload
    def __get__(self, device: None, owner: type[Device]) -> Self: ...
    @overload
    def __get__(self, device: Device, owner: type[Device]) -> T: ...
    def __get__(self, device: Device | None, owner: type[Device]) -> Self | T:
        """The setting's data, on a device; the declaration, on its class."""
        if device is None:
            return self
        data = device.setting(self.uuid)
        return self.parse(data) if self.parse is not None and data is not None else data

"""What every driver is made of: a bus, and the components on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

from janitoo_actors.api.types import seconds
from janitoo_actors.api.values import Instance, Setting, Value
from janitoo_actors.errors import ConfigurationError
from janitoo_actors.protocol.codes import Capability, CommandClass

_INDEXED: Final = re.compile(r"(.+)_([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """What is wrong with one option.

    Attributes:
        key: the option, as `load_poll_0`.
        value: what the file has; None where the option is missing.
        expected: what was expected, as "a whole number from 0 to 255".
    """

    key: str
    value: str | None
    expected: str


class OptionsError(ConfigurationError):
    """Options that a device cannot be made of.

    Attributes:
        problems: everything that is wrong, not only the first.
    """

    def __init__(self, problems: Sequence[OptionProblem]) -> None:
        super().__init__("; ".join(f"{each.key} = {each.value}: expected {each.expected}" for each in problems))
        self.problems = tuple(problems)


class Device:
    """What a bus and a component have in common: values, and options.

    A device belongs to the thread of its bus: one thread calls it, after `__init__`, for all its life.

    Attributes:
        oid: the name in the configuration: `hostsensor`, or `hostsensor.load`.
        name: the node's name where the configuration has none.
        product_name, product_type, product_manufacturer: for people, on the wire.
        capabilities, cmd_classes: of the node, on the wire; the classes of its values are added to them.
        values: what is declared, by name, in the order of declaration.
        uuid: the node's uuid on the wire, which is its section.
    """

    oid: ClassVar[str] = ""
    name: ClassVar[str] = ""
    product_name: ClassVar[str] = "Default product name"
    product_type: ClassVar[str] = "Default product type"
    product_manufacturer: ClassVar[str] = "Default product manufacturer"
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    cmd_classes: ClassVar[tuple[int, ...]] = (CommandClass.CONFIGURATION,)
    values: ClassVar[Mapping[str, Value]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the values that are declared on the class and on those it inherits from."""
        super().__init_subclass__(**kwargs)
        declared = {**cls.values, **{key: it for key, it in vars(cls).items() if isinstance(it, Value)}}
        cls.values = MappingProxyType(declared)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        """Make the device of the options of its section. Opens nothing and never blocks.

        Args:
            uuid: the node's uuid; its oid where not given, as in tests.
            options: the options of its section, as text. Those that are not declared are passed over.

        Raises:
            OptionsError: where options are wrong; it holds all of them.
        """
        self.uuid = uuid or self.oid
        problems: list[OptionProblem] = []
        given = options or {}
        self._polls = dict(self._read_polls(given, problems))
        self._settings = dict(self._read_settings(given, problems))
        self._instances = dict(self._read_instances(given, problems))
        # The values that take their instances from another one, by uuid.
        self._following = {
            uuid: value.instances.follows
            for uuid, value in self.values.items()
            if value.instances is not None and not any(_indexed(f"{uuid}_config", given, []))
        }
        if problems:
            raise OptionsError(problems)

    @classmethod
    def option_keys(cls) -> Iterator[tuple[str, Value]]:
        """Every option that the class declares, without its index: `load_config`, `load_poll`, `pin`."""
        for uuid, value in cls.values.items():
            if isinstance(value, Setting):
                yield uuid, value
                continue
            if value.instances is not None:
                yield f"{uuid}_config", value
            if value.is_polled:
                yield f"{uuid}_poll", value

    @classmethod
    def check_options(cls, options: Mapping[str, str]) -> tuple[OptionProblem, ...]:
        """Everything that is wrong with the options, without making the device."""
        problems: list[OptionProblem] = []
        for reader in (cls._read_polls, cls._read_settings, cls._read_instances):
            # Exhausted for the problems; the data are made again by whoever makes the device.
            dict(reader(options, problems))
        return tuple(problems)

    def setting(self, uuid: str, index: int = 0) -> Any:
        """The data of a setting.

        Raises:
            LookupError: where there is no such setting or instance.
        """
        return self._settings[uuid][index]

    def settings(self, uuid: str) -> Sequence[Any]:
        """The data of all instances of a setting. LookupError where there is no such setting."""
        return tuple(self._settings[uuid])

    def instances(self, uuid: str) -> Sequence[Instance]:
        """The instances of a value, by index; one without configuration where none are declared."""
        return tuple(self._instances[uuid])

    def poll_delay(self, uuid: str) -> float:
        """Seconds between two polls of a value; 0 where it is not polled."""
        return self._polls.get(uuid, 0)

    def read(self, uuid: str, index: int = 0) -> Any:
        """Read one instance of a value now; blocks as long as the driver's method does.

        Raises:
            LookupError: where there is no such value or instance, or nothing reads it.
            Exception: whatever the driver's method raises.
        """
        method = self.values[uuid].read_by
        if method is None:
            raise LookupError(f"{uuid} of {self.oid} cannot be read")
        return getattr(self, method)(self._instances[uuid][index])

    def write(self, uuid: str, data: Any, index: int = 0) -> None:
        """Write one instance of a value now; blocks as long as the driver's method does.

        Raises:
            LookupError: where there is no such value or instance, or nothing writes it.
            ValueError: where the data are none of this value's; the message starts with "expected".
            Exception: whatever the driver's method raises.
        """
        value = self.values[uuid]
        if value.written_by is None:
            raise LookupError(f"{uuid} of {self.oid} cannot be written")
        getattr(self, value.written_by)(self._instances[uuid][index], value.coerce(data))

    def change_setting(self, uuid: str, data: Any, index: int = 0) -> Any:
        """Change a setting of the running device, and return its data as they are from now on.

        Calls the writer of the setting, where one is declared.

        Raises:
            LookupError: where there is no such setting or instance.
            ValueError: where the data are none of this setting's; the message starts with "expected".
            Exception: whatever the driver's writer raises; the setting is then as it was.
        """
        value = self.values[uuid]
        before = self._settings[uuid][index]
        coerced = value.coerce(data)
        self._settings[uuid][index] = coerced
        if value.written_by is not None:
            try:
                getattr(self, value.written_by)(Instance(index), coerced)
            except BaseException:
                self._settings[uuid][index] = before
                raise
        return coerced

    def change_instance(self, uuid: str, text: str, index: int = 0) -> None:
        """Change the configuration of an instance of the running device, from the next read on.

        The values that follow this one change with it, as they would at the next start.

        Raises:
            LookupError: where there is no such value or instance.
            ValueError: where the text is no such configuration; the message starts with "expected".
        """
        value = self.values[uuid]
        if value.instances is None:
            raise LookupError(f"{uuid} of {self.oid} has no instances")
        _ = self._instances[uuid][index]
        changed = {uuid: Instance(index, value.instances.parse(text), text)}
        for follower, followed in self._following.items():
            declared = self.values[follower].instances
            if followed == uuid and declared is not None and index < len(self._instances[follower]):
                changed[follower] = Instance(index, declared.parse(text), text)
        # Only now, when all of them have accepted the text.
        for each, instance in changed.items():
            self._instances[each][index] = instance
        self._following.pop(uuid, None)

    def instance_texts(self) -> Mapping[str, tuple[str, ...]]:
        """The configurations of all values that have instances, as text, by value."""
        return {
            uuid: tuple(instance.text for instance in instances)
            for uuid, instances in self._instances.items()
            if self.values[uuid].instances is not None
        }

    def take_instances(self, other: Device) -> None:
        """Take over the configurations of all instances of another device of this class, from the next read on."""
        self._instances = {uuid: list(each) for uuid, each in other._instances.items()}
        self._following = dict(other._following)

    def remember_instances(self) -> Callable[[], None]:
        """What brings the configurations of all instances back to what they are now, when called."""
        instances = {uuid: list(each) for uuid, each in self._instances.items()}
        following = dict(self._following)

        def restore() -> None:
            self._instances = instances
            self._following = following

        return restore

    @classmethod
    def _read_polls(cls, options: Mapping[str, str], problems: list[OptionProblem]) -> Iterator[tuple[str, float]]:
        for uuid, value in cls.values.items():
            if not value.is_polled or value.poll_delay is None:
                continue
            key = f"{uuid}_poll_0"
            delay = value.poll_delay
            if key in options:
                try:
                    delay = seconds(options[key])
                except ValueError as error:
                    problems.append(_problem(key, options[key], error))
            yield uuid, delay

    @classmethod
    def _read_settings(
        cls, options: Mapping[str, str], problems: list[OptionProblem]
    ) -> Iterator[tuple[str, list[Any]]]:
        for uuid, value in cls.values.items():
            if not isinstance(value, Setting):
                continue
            data = []
            for key, text in _indexed(uuid, options, problems):
                try:
                    data.append(value.coerce(text))
                except ValueError as error:
                    problems.append(_problem(key, text, error))
            yield uuid, data or [value.default]

    @classmethod
    def _read_instances(
        cls, options: Mapping[str, str], problems: list[OptionProblem]
    ) -> Iterator[tuple[str, list[Instance]]]:
        for uuid, value in cls.values.items():
            if isinstance(value, Setting):
                continue
            declared = value.instances
            if declared is None:
                yield uuid, [Instance()]
                continue
            texts = list(_indexed(f"{uuid}_config", options, problems))
            if not texts and declared.follows is not None:
                texts = list(_indexed(f"{declared.follows}_config", options, []))
            if not texts:
                texts = [(f"{uuid}_config_{index}", text) for index, text in enumerate(declared.defaults)]
            instances = []
            for index, (key, text) in enumerate(texts):
                try:
                    instances.append(Instance(index, declared.parse(text), text))
                except ValueError as error:
                    problem = _problem(key, text, error)
                    # Values that follow another one find the same problem in its options.
                    if problem not in problems:
                        problems.append(problem)
            yield uuid, instances


class Component(Device):
    """A component on a bus: one node of the network.

    Attributes:
        bus: the bus that holds it, of the class that its driver expects; the runtime sets it before any call.
    """

    product_type = "Software component"
    product_manufacturer = "Janitoo"
    bus: Any = None

    def open(self) -> None:
        """Get ready for reads and writes; called on the bus's thread, after the bus is open. May block."""

    def close(self) -> None:
        """Give back what `open` took; called on the bus's thread, once, also where `open` failed."""


class Bus(Device):
    """A bus: what holds components, and is the controller's node on the network."""

    name = "Default bus name controller"
    capabilities = (Capability.DYNAMIC_CONTROLLER,)
    cmd_classes = (CommandClass.CONTROLLER, CommandClass.CONFIGURATION)

    def open(self) -> None:
        """Get hold of the device; called on the bus's thread, before any read. May block.

        Hardware libraries are imported here, not at the top of the module.

        Raises:
            TemporaryError: it is not there now; the bus is tried again, with back-off.
            PermanentError: it cannot work here.
        """

    def close(self) -> None:
        """Give back what `open` took; called on the bus's thread, once, also where `open` failed."""


def _indexed(prefix: str, options: Mapping[str, str], problems: list[OptionProblem]) -> Iterator[tuple[str, str]]:
    """The options `<prefix>_0`, `<prefix>_1`, …, in order; a gap is a problem."""
    found = {
        int(match[2]): key for key in options if (match := _INDEXED.fullmatch(key)) is not None and match[1] == prefix
    }
    for index in range(len(found)):
        if index not in found:
            problems.append(OptionProblem(f"{prefix}_{index}", None, f"it to be there, as {prefix}_{max(found)} is"))
            return
        yield found[index], options[found[index]]


def _problem(key: str, value: str, error: ValueError) -> OptionProblem:
    return OptionProblem(key, value, str(error).removeprefix("expected "))

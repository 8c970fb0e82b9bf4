"""What every driver is made of: a bus, and the components on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar

from janitoo_actors.api.claims import Claims, Hardware
from janitoo_actors.api.options import HIDDEN
from janitoo_actors.api.runtime import Runtime
from janitoo_actors.api.schema import INDEX, Option, by_key
from janitoo_actors.api.values import Instance, InstanceType, Setting, Value
from janitoo_actors.api.within import within
from janitoo_actors.errors import ConfigurationError
from janitoo_actors.protocol.codes import Capability, CommandClass

T = TypeVar("T")

# Of `read_timeout`, after which the watchdog takes the whole bus for hung.
_LESS: Final = 0.8
_INDEXED: Final = re.compile(r"(.+)_([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """What is wrong with one option.

    Attributes:
        key: the option, as `load_poll_0`.
        value: what the file has; None where the option is missing, and never a password.
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
        options: those that are no values on the wire (a host, a password), by key. Those of values are in `schema`.
        requires: the modules of libraries that it imports when it is opened, for `janitoo check`: `("smbus2",)`.
        uuid: the node's uuid on the wire, which is its section.
        claims: where it claims devices; the runtime sets it before any call. None in a test, where all is free.
        runtime: what it pushes to, and sets timers by; likewise. None in a test, where nothing of that happens; or a
            `ManualRuntime`.
    """

    oid: ClassVar[str] = ""
    name: ClassVar[str] = ""
    product_name: ClassVar[str] = "Default product name"
    product_type: ClassVar[str] = "Default product type"
    product_manufacturer: ClassVar[str] = "Default product manufacturer"
    capabilities: ClassVar[tuple[Capability, ...]] = ()
    cmd_classes: ClassVar[tuple[int, ...]] = (CommandClass.CONFIGURATION,)
    values: ClassVar[Mapping[str, Value]] = MappingProxyType({})
    options: ClassVar[Mapping[str, Option[Any]]] = MappingProxyType({})
    requires: ClassVar[tuple[str, ...]] = ()
    _schema: ClassVar[Mapping[str, Option[Any]]]
    claims: Claims | None = None
    runtime: Runtime | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the values and options that are declared on the class and on those it inherits from."""
        super().__init_subclass__(**kwargs)
        own = vars(cls).values()
        values: dict[str, Value] = {}
        options: dict[str, Option[Any]] = {}
        for base in reversed(cls.__mro__[1:]):
            values |= vars(base).get("values", {})
            options |= vars(base).get("options", {})
        values |= {each.uuid: each for each in own if isinstance(each, Value)}
        options |= by_key(each for each in own if isinstance(each, Option))
        cls.values, cls.options = MappingProxyType(values), MappingProxyType(options)

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
        read = dict(self._read_options(given, problems))
        if problems:
            raise OptionsError(problems)
        self._option_data = {
            key: read[key][0][1] if read[key] else option.default for key, option in self.options.items()
        }
        self._polls: dict[str, float] = {}
        self._settings: dict[str, list[Any]] = {}
        self._instances: dict[str, list[Instance]] = {}
        for value in self.values.values():
            self._keep_options(value, read)
        # The values that take their instances from another one, by uuid.
        self._following = {
            uuid: value.instances.follows
            for uuid, value in self.values.items()
            if value.instances is not None and not any(_indexed(f"{uuid}_config", given, []))
        }

    def _keep_options(self, value: Value, read: Mapping[str, list[tuple[str, Any]]]) -> None:
        """Take what has been read of the options of one value."""
        uuid = value.uuid
        if isinstance(value, Setting):
            self._settings[uuid] = [data for _, data in read[f"{uuid}_{INDEX}"]] or [value.default]
            return
        if value.is_polled and value.poll_delay is not None:
            polls = read[f"{uuid}_poll_0"]
            self._polls[uuid] = polls[0][1] if polls else value.poll_delay
        if value.instances is None:
            self._instances[uuid] = [Instance()]
        else:
            lines = enumerate(read[f"{uuid}_config_{INDEX}"])
            self._instances[uuid] = [Instance(index, data, text) for index, (text, data) in lines]

    @classmethod
    def schema(cls) -> Mapping[str, Option[Any]]:
        """Every option that the class declares, by key: its own, then those of its values. `option_of` looks one up."""
        made: Mapping[str, Option[Any]] | None = vars(cls).get("_schema")
        if made is None:
            of_values = (option for value in cls.values.values() for option in value.options())
            made = MappingProxyType(by_key([*cls.options.values(), *of_values]))
            cls._schema = made
        return made

    @classmethod
    def check_options(cls, options: Mapping[str, str]) -> tuple[OptionProblem, ...]:
        """Everything that is wrong with the options, without making the device."""
        problems: list[OptionProblem] = []
        # Read for the problems; the data are made again by whoever makes the device.
        dict(cls._read_options(options, problems))
        return tuple(problems)

    def option(self, key: str) -> Any:
        """The data of an option that is no value. LookupError where there is none of that key."""
        return self._option_data[key]

    def attach(self, claims: Claims | None, runtime: Runtime | None) -> None:
        """Give it what the runtime does for it; before any call."""
        self.claims, self.runtime = claims, runtime

    def takes(self) -> Iterable[Hardware]:
        """What it takes of the machine, by its settings: `[Hardware.gpio(self.setting("pin"))]`.

        Claimed for it before `open`, and given back when the bus is closed, or its process ends. Where another bus or
        server has it, the bus does not start, is told who that is, and is tried again, with back-off. Touches nothing:
        `janitoo check` asks it too, and says what is missing, may not be opened, or is taken.
        """
        return ()

    def claim(self, hardware: Hardware) -> None:
        """Take something of the machine that `takes` could not know, before it is touched; as what `open` has found.

        Raises:
            DeviceBusyError: another bus or server has it; the message says who.
        """
        if self.claims is not None:
            self.claims.claim(hardware, self.uuid)

    def changed(self, uuid: str, index: int = 0) -> None:
        """Say that a value has changed: it is read at once, all its instances, and published.

        Any thread, as a library's callback; never blocks. Said again before that read, it is said once; and what
        changes all the time is read some 20 times a second. After the end of the bus nothing comes of it.

        Raises:
            LookupError: where there is no such value or instance, or nothing reads it.
        """
        _ = self._instances[uuid][index]
        if not self.values[uuid].is_polled:
            raise LookupError(f"{uuid} of {self.oid} is not polled")
        if self.runtime is not None:
            self.runtime.changed(self.uuid, uuid)

    def poll_every(self, uuid: str, delay: float | None) -> None:
        """Have a value polled with another delay from now on, in seconds; 0: not at all; None: as it is configured.

        The configuration stays as it is, and so does `poll_delay`. On the bus's thread. LookupError as `changed`.
        """
        if not self.values[uuid].is_polled:
            raise LookupError(f"{uuid} of {self.oid} is not polled")
        if self.runtime is not None:
            self.runtime.poll_every(self.uuid, uuid, delay)

    def after(self, seconds: float, call: Callable[[], None], key: str = "") -> None:
        """Have `call` called once, on the bus's thread; with the same key, instead of what was to be called then.

        On the bus's thread. What it raises is logged; a `BusLostError` ends the bus.
        """
        if self.runtime is not None:
            self.runtime.after((id(self), key), seconds, call)

    def every(self, seconds: float, call: Callable[[], None], key: str = "") -> None:
        """Have `call` called again and again, on the bus's thread. As `after`."""
        if self.runtime is not None:
            self.runtime.every((id(self), key), seconds, call)

    def cancel(self, key: str = "") -> None:
        """End what `after` or `every` has begun with this key. On the bus's thread."""
        if self.runtime is not None:
            self.runtime.cancel((id(self), key))

    def within(self, seconds: float, what: str, call: Callable[[], T], key: str = "") -> T:
        """What a call returns that may hang in the kernel, where it comes in time. On the bus's thread.

        Blocks for `seconds` at most, and for less than `read_timeout`. The call is made on a thread of its own, which
        is left behind where it does not come back; until it is back, further calls of this device with the same key
        fail at once, also those of the next incarnation of the bus. What it returns then is dropped.

        Args:
            what: what hangs, for people: "the sensor at pin 4".
            call: what may hang. It must do no harm when it ends after its bus.
            key: what hangs, for this device; as `what` where not given.

        Raises:
            HangingError: it has not come back.
            Exception: whatever the call raises.
        """
        if self.runtime is not None:
            seconds = min(seconds, _LESS * self.runtime.read_timeout)
        return within(seconds, (self.uuid, key or what), what, call)

    def keep_instances(self, uuid: str, texts: Sequence[str]) -> None:
        """Have the file configure these instances of a value, as those of what has been found on the bus.

        They are there when the bus has been restarted, `config_timeout` after the last such change. On the bus's
        thread; blocks for the disk.

        Raises:
            LookupError: where there is no such value, or it has no instances.
            ValueError: where a text configures none; the message starts with "expected".
            TemporaryError: the file cannot be written now, and is as it was.
        """
        instances = self.values[uuid].instances
        if instances is None:
            raise LookupError(f"{uuid} of {self.oid} has no instances")
        for text in texts:
            instances.parse(text)
        if self.runtime is not None:
            self.runtime.keep(self.uuid, {f"{uuid}_config_{index}": text for index, text in enumerate(texts)})

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
    def _read_options(
        cls, given: Mapping[str, str], problems: list[OptionProblem]
    ) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
        """The key of each declared option, and the text and the data of each line, in the order of the indexes."""
        for option in cls.schema().values():
            read = []
            for key, text in _lines_of(option, given, problems):
                try:
                    read.append((text, option.type.parse(text)))
                except ValueError as error:
                    expected = str(error).removeprefix("expected ")
                    problem = OptionProblem(key, HIDDEN if option.is_secret else text, expected)
                    # Values that follow another one find the same problem in its options.
                    if problem not in problems:
                        problems.append(problem)
            if option.is_required and option.key not in given:
                problems.append(OptionProblem(option.key, None, f"{option.type.allowed}: it must be there"))
            yield option.key, read


def _lines_of(
    option: Option[Any], given: Mapping[str, str], problems: list[OptionProblem]
) -> Iterator[tuple[str, str]]:
    """The keys and the texts of an option: of its one line, or of all its indexes, or of what it has instead."""
    if not option.is_family:
        if option.key in given:
            yield option.key, given[option.key]
        return
    prefix = option.key.removesuffix(f"_{INDEX}")
    lines = list(_indexed(prefix, given, problems))
    if isinstance(option.type, InstanceType):
        follows = option.type.instances.follows
        if not lines and follows is not None:
            lines = list(_indexed(f"{follows}_config", given, []))
        if not lines:
            lines = [(f"{prefix}_{index}", text) for index, text in enumerate(option.defaults)]
    yield from lines


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

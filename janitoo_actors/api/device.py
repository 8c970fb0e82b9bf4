"""What every driver is made of: a bus, and the components on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar

from janitoo_actors.api.claims import Claims, Hardware
from janitoo_actors.api.lines import (
    Line,
    OptionProblem,
    OptionsError,
    index_of,
    indexed,
    lines_of,
    lines_of_instances,
)
from janitoo_actors.api.options import HIDDEN
from janitoo_actors.api.runtime import Product, Runtime
from janitoo_actors.api.schema import INDEX, Option, by_key
from janitoo_actors.api.values import Instance, Setting, Value
from janitoo_actors.api.within import within
from janitoo_actors.protocol.codes import Capability, CommandClass

T = TypeVar("T")

# Of `read_timeout`, after which the watchdog takes the whole bus for hung.
_LESS: Final = 0.8


class Device:
    """What a bus and a component have in common: values, and options.

    A device belongs to the thread of its bus: one thread calls it, after `__init__`, for all its life.

    Attributes:
        oid: the name in the configuration: `hostsensor`, or `hostsensor.load`.
        name: the node's name where the configuration has none.
        product_name, product_type, product_manufacturer: for people, on the wire; until it says better, by `identify`.
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
        self._option_data = {key: _data_of(option, read[key]) for key, option in self.options.items()}
        self._polls: dict[str, float] = {}
        self._settings: dict[str, list[Any]] = {}
        self._instances: dict[str, list[Instance]] = {}
        for value in self.values.values():
            self._keep_options(value, read)
        # The values that take their instances from another one, by uuid.
        self._following = {
            uuid: value.instances.follows
            for uuid, value in self.values.items()
            if value.instances is not None and not any(indexed(f"{uuid}_config", given, []))
        }

    def _keep_options(self, value: Value, read: Mapping[str, list[Line]]) -> None:
        """Take what has been read of the options of one value."""
        uuid = value.uuid
        if isinstance(value, Setting):
            self._settings[uuid] = [line.data for line in read[f"{uuid}_{INDEX}"]] or [value.default]
            return
        if value.is_polled and value.poll_delay is not None:
            polls = read[f"{uuid}_poll_0"]
            self._polls[uuid] = polls[0].data if polls else value.poll_delay
        if value.instances is None:
            self._instances[uuid] = [Instance()]
        else:
            lines = enumerate(read[f"{uuid}_config_{INDEX}"])
            self._instances[uuid] = [Instance(index, line.data, line.text) for index, line in lines]

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

    def option(self, key: str, index: int | None = None) -> Any:
        """The data of an option that is no value. LookupError where there is none of that key.

        Args:
            index: of an instance that may have its own.
        """
        own = self._option_data.get(f"{key}_{INDEX}", {}) if index is not None else {}
        return own[index] if index in own else self._option_data[key]

    def option_key(self, key: str, index: int) -> str:
        """The key that says what `option` gives for an instance: its own, as `voltage_max_2`, or that of all."""
        return f"{key}_{index}" if index in self._option_data.get(f"{key}_{INDEX}", {}) else key

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

    def soon(self, call: Callable[[], None], key: str = "") -> None:
        """Have `call` called on the bus's thread, as soon as that has time.

        Any thread, as a library's callback; never blocks. Said again with the same key before that, it is called once.
        After the end of the bus nothing comes of it. What it raises is told as that of `after`.
        """
        if self.runtime is not None:
            self.runtime.soon(self._key(key), call)

    def identify(self, product: Product) -> None:
        """Say what the device has told of itself: its node says that then, and not what the class says.

        On the bus's thread; in `open`, or before the first reading, so that the node says it when it is online.
        """
        if self.runtime is not None:
            self.runtime.identified(self.uuid, product)

    def after(self, seconds: float, call: Callable[[], None], key: str = "") -> None:
        """Have `call` called once, on the bus's thread; with the same key, instead of what was to be called then.

        On the bus's thread. What it raises is logged; a `BusLostError` ends the bus.
        """
        if self.runtime is not None:
            self.runtime.after(self._key(key), seconds, call)

    def every(self, seconds: float, call: Callable[[], None], key: str = "") -> None:
        """Have `call` called again and again, on the bus's thread. As `after`."""
        if self.runtime is not None:
            self.runtime.every(self._key(key), seconds, call)

    def cancel(self, key: str = "") -> None:
        """End what `after` or `every` has begun with this key. On the bus's thread."""
        if self.runtime is not None:
            self.runtime.cancel(self._key(key))

    def _key(self, key: str) -> str:
        """The key of a timer among those of all devices of the bus: its parts have its uuid too."""
        return " ".join(filter(None, (self.uuid, type(self).__name__, key)))

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
    def _read_options(cls, given: Mapping[str, str], problems: list[OptionProblem]) -> Iterator[tuple[str, list[Line]]]:
        """The key of each declared option, and what has been read of each line, in the order of the indexes."""
        schema = cls.schema()
        for option in schema.values():
            read = []
            if option.of:
                count = len(list(lines_of(schema[f"{option.of}_config_{INDEX}"], given, [])))
                lines = lines_of_instances(option, given, count, problems)
            else:
                lines = lines_of(option, given, problems)
            for key, text in lines:
                try:
                    read.append(Line(key, text, option.type.parse(text)))
                except ValueError as error:
                    expected = str(error).removeprefix("expected ")
                    problem = OptionProblem(key, HIDDEN if option.is_secret else text, expected)
                    # Values that follow another one find the same problem in its options.
                    if problem not in problems:
                        problems.append(problem)
            if option.is_required and option.key not in given:
                problems.append(OptionProblem(option.key, None, f"{option.type.allowed}: it must be there"))
            yield option.key, read


def _data_of(option: Option[Any], lines: Sequence[Line]) -> Any:
    """What an option that is no value holds."""
    if option.of:
        return {index_of(line.key): line.data for line in lines}
    return lines[0].data if lines else option.default

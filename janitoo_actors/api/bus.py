"""Buses, the components on them, and what other packages add to a bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from janitoo_actors.api.claims import Claims, Hardware
from janitoo_actors.api.device import Device
from janitoo_actors.api.runtime import Runtime
from janitoo_actors.protocol.codes import Capability, CommandClass

D = TypeVar("D", bound=Device)
T = TypeVar("T")


class Component(Device):
    """A component on a bus: one node of the network.

    Attributes:
        bus: the bus that holds it, of its `bus_class`; the runtime sets it before any call.
        bus_class: the class of the buses that it works on; on any other it is refused when the file is read.
    """

    product_type = "Software component"
    product_manufacturer = "Janitoo"
    bus_class: ClassVar[type[Device]] = Device
    bus: Any = None

    def open(self) -> None:
        """Get ready for reads and writes; called on the bus's thread, after the bus is open. May block."""

    def close(self) -> None:
        """Give back what `open` took; called on the bus's thread, once, also where `open` failed."""

    def believed(self, uuid: str, index: int, read: Callable[[], Any]) -> Any:  # noqa: ARG002 - for filters
        """What counts of a reading: what filters leave of it. The simulator has its readings go through it too."""
        return read()


class Bus(Device):
    """A bus: what holds components, and is the controller's node on the network.

    Attributes:
        parts: devices that are made with it, of the same section, and whose values and options are its own too: the
            buses of an `Aggregate`, and the extensions that the section names.
        components: those that it holds, by their names in the file. The runtime puts them there before `open`.
    """

    name = "Default bus name controller"
    capabilities = (Capability.DYNAMIC_CONTROLLER,)
    cmd_classes = (CommandClass.CONTROLLER, CommandClass.CONFIGURATION)
    parts: ClassVar[tuple[type[Device], ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take over what the parts declare.

        Raises:
            TypeError: two of them declare the same.
        """
        super().__init_subclass__(**kwargs)
        for part in cls.parts:
            # What stands for another part, as a simulated one, declares that one's again.
            former = [
                each for base in cls.__mro__[1:] for each in vars(base).get("parts", ()) if issubclass(part, each)
            ]
            _refuse_both(cls, part, cls.values, part.values, [each.values for each in former])
            _refuse_both(cls, part, cls.options, part.options, [each.options for each in former])
            cls.values = MappingProxyType({**cls.values, **part.values})
            cls.options = MappingProxyType({**cls.options, **part.options})
        required = (module for part in cls.parts for module in part.requires)
        cls.requires = tuple(dict.fromkeys((*cls.requires, *required)))

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self.components: dict[str, Component] = {}
        self._parts = tuple(part(self.uuid, options) for part in self.parts)
        self._part_of = {uuid: part for part in self._parts for uuid in part.values}
        for part in self.extensions:
            part.bus = self

    # -- what a driver may implement -----------------------------------------------------------------------------

    def open(self) -> None:
        """Get hold of the device; called on the bus's thread, before any read. May block.

        Hardware libraries are imported here, not at the top of the module.

        Raises:
            TemporaryError: it is not there now; the bus is tried again, with back-off.
            PermanentError: it cannot work here.
        """

    def close(self) -> None:
        """Give back what `open` took; called on the bus's thread, once, also where `open` failed."""

    def started(self) -> None:
        """The bus and its components are open; called on the bus's thread, before the first read."""

    def heard(self, component: Component, uuid: str, data: Sequence[Any]) -> None:
        """A value of a component has been read, all its instances; None for those that failed. On the bus's thread.

        For a bus that does something with what its components measure. What it raises is logged.
        """

    def command(self, name: str, uuid: str, data: Any, index: int = 0) -> None:
        """Write a value of a component, and have it published as it is then; for a bus that does so by itself.

        On the bus's thread. LookupError where there is no such component; or whatever the write raises.
        """
        component = self.components[name]
        self.serve(component, partial(component.write, uuid, data, index))
        if component.values[uuid].is_polled:
            component.changed(uuid, index)

    # -- what holds other devices --------------------------------------------------------------------------------

    @classmethod
    def carries(cls, component_class: type[Component]) -> bool:
        """Whether components of a class work on it."""
        return issubclass(cls, component_class.bus_class)

    def bus_for(self, component: Component) -> Device:  # noqa: ARG002 - for those that hold others
        """What a component finds as its bus."""
        return self

    def open_component(self, component: Component) -> None:
        """Open a component, with what it takes of the machine. On the bus's thread."""
        for hardware in component.takes():
            component.claim(hardware)
        component.open()

    def close_component(self, component: Component) -> None:
        """Close a component. On the bus's thread."""
        component.close()

    def serve(self, component: Component, call: Callable[[], T]) -> T:  # noqa: ARG002 - for those that hold others
        """Have a component read or written by a call. On the bus's thread."""
        return call()

    def part(self, kind: type[D]) -> D:
        """The part of a class: an extension, or a bus inside. LookupError where it has none."""
        for part in self._parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"{self.oid} has no part {kind.__name__}")

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """What other packages have added, in the order of the file."""
        return tuple(part for part in self._parts if isinstance(part, Extension))

    # -- what the runtime calls ----------------------------------------------------------------------------------

    def takes_all(self) -> Iterable[Hardware]:
        """What it and its extensions take."""
        yield from self.takes()
        for part in self.extensions:
            yield from part.takes()

    def claim_all(self) -> None:
        """Claim what it and its extensions take. DeviceBusyError where somebody else has one of it."""
        for hardware in self.takes_all():
            self.claim(hardware)

    def open_all(self) -> None:
        """Open it, then its extensions."""
        self.open()
        for part in self.extensions:
            part.open()

    def close_all(self) -> None:
        """Close its extensions, then it, whatever those raise."""
        parts = list(self.extensions)

        def close() -> None:
            try:
                if parts:
                    parts.pop().close()
            finally:
                if parts:
                    close()

        try:
            close()
        finally:
            self.close()

    def attach(self, claims: Claims | None, runtime: Runtime | None) -> None:
        """Give it and its parts what the runtime does for them."""
        super().attach(claims, runtime)
        for part in self._parts:
            part.attach(claims, runtime)

    def read(self, uuid: str, index: int = 0) -> Any:
        """As `Device.read`; its parts read what they declare."""
        part = self._part_of.get(uuid)
        return super().read(uuid, index) if part is None else part.read(uuid, index)

    def write(self, uuid: str, data: Any, index: int = 0) -> None:
        """As `Device.write`; its parts write what they declare."""
        part = self._part_of.get(uuid)
        if part is None:
            super().write(uuid, data, index)
        else:
            part.write(uuid, data, index)

    def change_setting(self, uuid: str, data: Any, index: int = 0) -> Any:
        """As `Device.change_setting`; its parts take what they declare."""
        part = self._part_of.get(uuid)
        if part is None:
            return super().change_setting(uuid, data, index)
        changed = part.change_setting(uuid, data, index)
        self._settings[uuid][index] = changed
        return changed

    def change_instance(self, uuid: str, text: str, index: int = 0) -> None:
        """As `Device.change_instance`."""
        super().change_instance(uuid, text, index)
        self._share_instances()

    def take_instances(self, other: Device) -> None:
        """As `Device.take_instances`."""
        super().take_instances(other)
        self._share_instances()

    def remember_instances(self) -> Callable[[], None]:
        """As `Device.remember_instances`."""
        restore = super().remember_instances()

        def restore_all() -> None:
            restore()
            self._share_instances()

        return restore_all

    def _share_instances(self) -> None:
        """Its parts have the instances that it has."""
        for part in self._parts:
            for uuid in part.values:
                if uuid in self._instances:
                    part._instances[uuid] = list(self._instances[uuid])


class Extension(Device):
    """What another package adds to a bus, where its section says so: `extensions = softspi`.

    Its values and options are the bus's own then. It is opened after the bus, before the components, which find it by
    `self.bus.part(SoftSpi)`; it may add to the bus itself too. Its entry point is of `janitoo_actors.bus_extensions`.

    Attributes:
        bus: the bus that it extends.
        extends: the class of the buses that it can extend; at any other it is refused when the file is read.
    """

    extends: ClassVar[type[Bus]] = Bus
    bus: Any = None

    def open(self) -> None:
        """Get hold of what it needs; called on the bus's thread, after the bus is open. Raises as `Bus.open`."""

    def close(self) -> None:
        """Give back what `open` took; called on the bus's thread, once, before the bus, also where `open` failed."""


def _refuse_both(
    cls: type[Bus],
    part: type[Device],
    known: Mapping[str, Any],
    declared: Mapping[str, Any],
    former: Sequence[Mapping[str, Any]],
) -> None:
    for key in known.keys() & declared.keys():
        if not any(known[key] is each.get(key) for each in (declared, *former)):
            raise TypeError(f"{cls.__name__} has {key} already, which {part.__name__} declares too")

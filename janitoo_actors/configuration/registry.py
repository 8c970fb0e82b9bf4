"""Which drivers are installed: oid → bus class, oid → component class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from janitoo_actors.api.bus import Bus, Component, Extension
from janitoo_actors.api.device import Device
from janitoo_actors.configuration.extras import EXTRAS, how_to_install
from janitoo_actors.errors import ConfigurationError
from janitoo_actors.suggest import did_you_mean_or_choose

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

BUSES: Final = "janitoo_actors.buses"
COMPONENTS: Final = "janitoo_actors.components"
EXTENSIONS: Final = "janitoo_actors.bus_extensions"

DeviceT = TypeVar("DeviceT", bound=Device)


class DriverError(ConfigurationError, LookupError):
    """A bus or a component that no installed package provides, or whose package is broken."""


class Registry:
    """The drivers at hand, by oid. A driver is imported when it is first asked for, not before.

    Any thread, but one at a time.
    """

    def __init__(
        self,
        buses: Mapping[str, type[Bus] | tuple[EntryPoint, ...]],
        components: Mapping[str, type[Component] | tuple[EntryPoint, ...]],
        extensions: Mapping[str, type[Extension] | tuple[EntryPoint, ...]] = MappingProxyType({}),
    ) -> None:
        """Make a registry, of classes (as tests do) or of the entry points that name them.

        Args:
            buses, components: by oid. More than one entry point for an oid is an error when the oid is asked for.
            extensions: by name, likewise.
        """
        self._buses: dict[str, type[Device] | tuple[EntryPoint, ...]] = dict(buses)
        self._components: dict[str, type[Device] | tuple[EntryPoint, ...]] = dict(components)
        self._extensions: dict[str, type[Device] | tuple[EntryPoint, ...]] = dict(extensions)

    @staticmethod
    @cache
    def installed() -> Registry:
        """The drivers of the installed packages.

        The metadata of the packages are read once, at the first call: blocks for the disk.
        """
        # Takes as long to import as all of the configuration; tests and tools with classes at hand go without.
        from importlib.metadata import entry_points

        groups: dict[str, dict[str, tuple[EntryPoint, ...]]] = {BUSES: {}, COMPONENTS: {}, EXTENSIONS: {}}
        for group, found in groups.items():
            for point in entry_points(group=group):
                others = found.get(point.name, ())
                if point.value not in {other.value for other in others}:
                    found[point.name] = (*others, point)
        return Registry(groups[BUSES], groups[COMPONENTS], groups[EXTENSIONS])

    @property
    def bus_oids(self) -> tuple[str, ...]:
        """The oids of all buses, sorted."""
        return tuple(sorted(self._buses))

    @property
    def component_oids(self) -> tuple[str, ...]:
        """The oids of all components, sorted."""
        return tuple(sorted(self._components))

    def bus(self, oid: str) -> type[Bus]:
        """The class of a bus; the first call for an oid imports its driver.

        Raises:
            DriverError: where there is none, or it cannot be imported.
        """
        return _resolve(self._buses, oid, Bus, "bus")

    def component(self, oid: str) -> type[Component]:
        """The class of a component; the first call for an oid imports its driver.

        Raises:
            DriverError: where there is none, or it cannot be imported.
        """
        return _resolve(self._components, oid, Component, "component")

    def extension(self, name: str) -> type[Extension]:
        """The class of an extension of a bus; the first call for a name imports it.

        Raises:
            DriverError: where there is none, or it cannot be imported.
        """
        return _resolve(self._extensions, name, Extension, "extension")


def _resolve(
    known: dict[str, type[Device] | tuple[EntryPoint, ...]], oid: str, base: type[DeviceT], what: str
) -> type[DeviceT]:
    found = known.get(oid)
    if found is None:
        bus = oid.partition(".")[0]
        bus_is_there = any(each == bus or each.startswith(f"{bus}.") for each in known)
        command = how_to_install(oid) if oid in EXTRAS or not bus_is_there else ""
        hint = f": {command}" if command else did_you_mean_or_choose(oid, known)
        raise DriverError(f"no {what} {oid!r} is installed{hint}")
    if isinstance(found, tuple):
        found = known[oid] = _import(found, base, what)
    if not issubclass(found, base):
        raise DriverError(f"{found.__name__} is no {what}: expected a subclass of {base.__name__}")
    return found


def _import(points: tuple[EntryPoint, ...], base: type[DeviceT], what: str) -> type[DeviceT]:
    point = points[0]
    if len(points) > 1:
        names = " and ".join(sorted(map(_provider, points)))
        raise DriverError(f"the {what} {point.name!r} is provided by {names}: uninstall one of them")
    try:
        found = point.load()
    except Exception as error:
        # Importing somebody's module can raise anything.
        reason = f"{type(error).__name__}: {error}"
        command = how_to_install(point.name) if isinstance(error, ModuleNotFoundError) else ""
        raise DriverError(
            f"the {what} {point.name!r} cannot be imported from {_provider(point)}: {reason}"
            + (f": {command}" if command else "")
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise DriverError(
            f"the {what} {point.name!r} of {_provider(point)} is broken: expected a subclass of {base.__name__}"
        )
    return found


def _provider(point: EntryPoint) -> str:
    distribution = point.dist
    owner = f" of {distribution.name} {distribution.version}" if distribution is not None else ""
    return f"the entry point {point.value!r}{owner}"

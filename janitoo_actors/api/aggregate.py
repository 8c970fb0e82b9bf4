"""A bus that holds others: components of several kinds at one address, and what they do together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import structlog

from janitoo_actors.api.bus import Bus, Component
from janitoo_actors.api.claims import Hardware
from janitoo_actors.api.device import Device
from janitoo_actors.errors import BusLostError, ConfigurationError, PermanentError, TemporaryError, bug, said

T = TypeVar("T")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class _Held:
    """A bus or a component inside: open, or why it is not, and when that is tried again."""

    def __init__(self, device: Bus | Component, bus: _Held | None = None) -> None:
        self.device = device
        self._bus = bus
        self._is_open = False
        self._error: Exception | None = None
        self._failures = 0
        self._again_at = 0.0

    def ensure(self) -> None:
        """Have it open, what it is on first.

        Raises:
            TemporaryError, PermanentError, ConfigurationError: it is not, and why. It waits for its time.
        """
        if self._bus is not None:
            self._bus.ensure()
        if self._is_open:
            return
        if self._error is not None and time.monotonic() < self._again_at:
            raise self._told(self._error)
        try:
            if isinstance(self.device, Bus):
                self.device.claim_all()
                self.device.open_all()
            else:
                for hardware in self.device.takes():
                    self.device.claim(hardware)
                self.device.open()
        except Exception as error:
            self.close()
            if self._error is None or said(self._error) != said(error):
                about = {"device": self.device.uuid, "oid": self.device.oid, "error": said(error), **bug(error)}
                structlog.get_logger().warning("part_not_open", **about)
            pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
            self._failures = min(self._failures + 1, 10)
            self._again_at = time.monotonic() + pause
            self._error = error
            raise self._told(error) from error
        if self._error is not None:
            log = structlog.get_logger()
            log.info("part_opened", device=self.device.uuid, oid=self.device.oid, failures=self._failures)
        self._is_open, self._error, self._failures = True, None, 0

    def close(self) -> None:
        """Close it, also where it is half open. What that raises is logged."""
        self._is_open = False
        try:
            if isinstance(self.device, Bus):
                self.device.close_all()
            else:
                self.device.close()
        except Exception as error:  # noqa: BLE001 - the driver's code, and there is nobody left to tell
            structlog.get_logger().warning("close_failed", device=self.device.oid, error=said(error))

    def lost(self) -> None:
        """It is gone, and what is on it with it; it is opened again when it is next needed."""
        if self._is_open:
            self.close()

    @staticmethod
    def _told(error: Exception) -> Exception:
        """What those are told that wait for it: that of its bus is not the end of the whole."""
        if isinstance(error, PermanentError | ConfigurationError):
            return PermanentError(said(error))
        return TemporaryError(said(error))


class Aggregate(Bus):
    """A bus that holds others, which are its `parts`; its components are theirs, and on it as on their own bus.

    A part that cannot be opened, or is lost, keeps only its own components from being read; it is tried again when they
    are, with growing pauses.

        class Tutorial(Aggregate):
            oid = "tutorial"
            parts = (OneWireBus, GpioBus)
    """

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._held: dict[Device, _Held] = {part: _Held(part) for part in self._parts if isinstance(part, Bus)}

    @classmethod
    def carries(cls, component_class: type[Component]) -> bool:
        """Whether it, or one of its parts, carries them."""
        inside = (part for part in cls.parts if issubclass(part, Bus))
        return super().carries(component_class) or any(part.carries(component_class) for part in inside)

    def bus_for(self, component: Component) -> Device:
        """The part that the component is for; the aggregate itself, where any bus will do."""
        if isinstance(self, component.bus_class):
            return self
        return next((each for each in self._held if isinstance(each, component.bus_class)), self)

    def takes(self) -> Iterable[Hardware]:
        """What its parts take."""
        for part in self._held.values():
            if isinstance(part.device, Bus):
                yield from part.device.takes_all()

    def claim_all(self) -> None:
        """Claim what its extensions take. What a part takes is claimed when that is opened, and tried again."""
        for part in self.extensions:
            for hardware in part.takes():
                self.claim(hardware)

    def open(self) -> None:
        """Open its parts. One that fails is tried again when one of its components is read."""
        for held in list(self._held.values()):
            self._try(held)

    def close(self) -> None:
        """Close its parts."""
        for part in reversed(self._held.values()):
            if isinstance(part.device, Bus):
                part.close()

    def open_component(self, component: Component) -> None:
        """Open a component, where its bus is open; otherwise later."""
        held = self._held[component] = _Held(component, self._held.get(component.bus))
        self._try(held)

    def close_component(self, component: Component) -> None:
        """Close it."""
        held = self._held.pop(component, None)
        if held is not None:
            held.close()

    def serve(self, component: Component, call: Callable[[], T]) -> T:
        """Have a component read or written, where it and its bus are open or can be opened again.

        Raises:
            TemporaryError, PermanentError: they are not; it says why.
            Exception: whatever the call raises; but a BusLostError is the end of the part only.
        """
        held = self._held.get(component)
        if held is not None:
            held.ensure()
        try:
            return call()
        except BusLostError as error:
            part = self._held.get(component.bus)
            if part is None:
                raise
            self._lost(part, error)
            raise TemporaryError(said(error)) from error

    def read(self, uuid: str, index: int = 0) -> Any:
        """As `Bus.read`; None for a value of a part that cannot be read: the aggregate itself is well."""
        held = self._held.get(self._part_of[uuid]) if uuid in self._part_of else None
        if held is None:
            return super().read(uuid, index)
        try:
            held.ensure()
            return super().read(uuid, index)
        except BusLostError as error:
            self._lost(held, error)
        except (TemporaryError, PermanentError):
            # It is told of by its components, and logged where it cannot be opened.
            pass
        return None

    def _lost(self, part: _Held, error: BusLostError) -> None:
        """Close a part and its components; they are opened again when they are next read."""
        for each in list(self._held.values()):
            if isinstance(each.device, Component) and each.device.bus is part.device:
                each.lost()
        part.lost()
        structlog.get_logger().warning("part_lost", bus=self.uuid, part=part.device.oid, error=said(error))

    def _try(self, held: _Held) -> None:
        try:
            held.ensure()
        except (TemporaryError, PermanentError):
            # It is logged, and tried again.
            return

"""The bus: the one actor that touches the driver, on a thread of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog
from pykka import ActorDeadError, ActorRef

from janitoo_actors.api.bus import Bus, Component
from janitoo_actors.api.device import Device
from janitoo_actors.api.types import to_text
from janitoo_actors.api.values import Setting
from janitoo_actors.claims import ClaimTable
from janitoo_actors.configuration.model import BusConfig
from janitoo_actors.errors import BusLostError, ConfigurationError, PermanentError, bug, said
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import finite
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.messages import BusFailed, BusStarted, Configure, Read, Reading, Retune, Write, Written
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.repeats import Repeats
from janitoo_actors.runtime.services import Due, Services, Store
from janitoo_actors.runtime.values import NodeValue, Role
from supervisors import PinnedActor

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a driver has to close after a failure; then it is left behind, and the bus is restarted without it."""


class BusActor(PinnedActor):
    """The actor that owns the driver's bus and its components, and calls them, one call at a time.

    It may block for as long as the driver does. Each call's result is told to who asked; a failed read is a result. An
    exception that is no failure of a read or a write ends the bus, which its supervisor restarts.
    """

    def __init__(
        self, config: BusConfig, board: Board, store: Store, claims: ClaimTable, *, read_timeout: float
    ) -> None:
        super().__init__()
        self._config = config
        self._board = board
        self._store = store
        self._claims = claims.for_bus(config.section, self.epoch)
        self._services = Services(self, Places.of(self.path.removesuffix("/bus")), board, store, read_timeout)
        self._log = structlog.get_logger().bind(path=self.path, bus=config.section)
        self._link = f"{self.path.removesuffix('bus')}link"
        self._repeats = Repeats(self._log)
        self._devices: dict[Hadd, Device] = {}
        self._bus: Bus | None = None
        # Whether it has a say in what its components do: asked once, and not with each read.
        self._hears = False
        self._serves = False

    def on_start(self) -> None:
        """Make the devices, and open the bus, then its components, each with what it takes of the machine."""
        with self._claims:
            self._open()
        self.tell_path(self._link, BusStarted(self.actor_ref))
        self._log.info("bus_started", components=len(self._config.components))

    def _open(self) -> None:
        try:
            self._make_devices()
            bus = self._bus
            assert bus is not None
            bus.claim_all()
            bus.open_all()
            for component in bus.components.values():
                bus.open_component(component)
            bus.started()
        except BaseException as error:
            self._give_up(error)
            raise

    def on_stop(self) -> None:
        """Close what is open."""
        with self._claims:
            self._close()

    def on_failure(self, _type: Any, error: BaseException | None, _traceback: Any) -> None:
        """Close what is open: the next incarnation opens it anew."""
        with self._claims:
            self._give_up(error)

    def on_end(self) -> None:
        """Give up the devices, or leave them to the next incarnation where the driver hangs. Any thread."""
        super().on_end()
        self._claims.abandon()

    def on_receive(self, message: Any) -> Any:
        """Read, write or configure, and tell who asked."""
        with self._claims:
            return self._received(message)

    def _received(self, message: Any) -> Any:
        match message:
            case Read():
                self._read(message)
            case ReadNext():
                self._read_next(message)
            case Write():
                self._tell(message.reply_to, self._write(message))
            case Configure():
                self._tell(message.reply_to, self._configure(message))
            case Retune(hadd=hadd):
                self._retune(hadd)
            case Due(key=key, call=call):
                self._call(key, call)
            case _:
                return super().on_receive(message)
        return None

    def _make_devices(self) -> None:
        node = self._board.nodes[self._config.node.hadd]
        bus = self._bus = self._config.bus_class(node.uuid, node.options)
        bus.attach(self._claims, self._services)
        self._hears = type(bus).heard is not Bus.heard
        self._serves = type(bus).serve is not Bus.serve
        self._devices[node.hadd] = bus
        for each in self._config.components:
            node = self._board.nodes[each.node.hadd]
            component = each.component_class(node.uuid, node.options)
            component.bus = bus.bus_for(component)
            component.attach(self._claims, self._services)
            bus.components[each.key] = component
            self._devices[node.hadd] = component

    def _read(self, message: Read) -> None:
        device = self._devices[message.hadd]
        self._services.begins(device.uuid, message.uuid)
        if message.instances > 1:
            self._read_next(ReadNext(message))
            return
        # Nearly all values have one: there is nothing to come back to.
        failures: list[Exception] = []
        data = [self._read_one(device, message.uuid, index, failures) for index in range(message.instances)]
        self._tell(message.reply_to, self._reading(device, message, data, failures))

    def _read_next(self, reads: ReadNext) -> None:
        """Read the next instance, and go on with the others behind what else is waiting; or tell the reading.

        So each instance has `read_timeout`, and a value with many of them keeps nobody waiting for more than one.
        """
        message = reads.message
        device = self._devices[message.hadd]
        if len(reads.data) < message.instances:
            reads.data.append(self._read_one(device, message.uuid, len(reads.data), reads.failures))
        if len(reads.data) < message.instances:
            self.tell_self(reads)
        else:
            self._tell(message.reply_to, self._reading(device, message, reads.data, reads.failures))

    def _read_one(self, device: Device, uuid: str, index: int, failures: list[Exception]) -> Any:
        try:
            return _sendable(self._served(device, device.read, uuid, index))
        except BusLostError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the driver raises: this read has failed
            failures.append(error)
            return None

    def _reading(self, device: Device, message: Read, data: Sequence[Any], failures: Sequence[Exception]) -> Reading:
        if self._hears:
            self._hear(device, message.uuid, tuple(data))
        if not failures:
            return Reading(message.uuid, message.token, tuple(data), None)
        hopeless = all(isinstance(error, PermanentError | ConfigurationError) for error in failures)
        first = failures[0]
        return Reading(message.uuid, message.token, tuple(data), said(first), hopeless, **bug(first))

    def _hear(self, device: Device, uuid: str, data: tuple[Any, ...]) -> None:
        """Tell the bus what has been read, where that is of interest to it."""
        bus = self._bus
        if isinstance(device, Component) and bus is not None:
            self._call(f"heard {device.uuid} {uuid}", partial(bus.heard, device, uuid, data))

    def _served(self, device: Device, call: Callable[..., Any], *args: Any) -> Any:
        """Read or write a device, by its bus where that has a say in it."""
        if not self._serves or self._bus is None or not isinstance(device, Component):
            return call(*args)
        return self._bus.serve(device, partial(call, *args))

    def _write(self, message: Write) -> Written:
        device = self._devices[message.hadd]
        data = message.data
        try:
            self._served(device, device.write, message.uuid, data, message.index)
            if device.values[message.uuid].read_by is not None:
                # What it is now, not what it should be.
                data = _sendable(self._served(device, device.read, message.uuid, message.index))
        except BusLostError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the driver raises: this write has failed
            return self._write_failed(message, error)
        return Written(message.token, data, None)

    def _configure(self, message: Configure) -> Written:
        node = self._board.nodes[message.hadd]
        value = node.values[message.uuid]
        try:
            data, restore = self._apply(value, message)
            if self.fenced:
                return Written(message.token, None, "the bus has been replaced meanwhile")
            options = node.to_store(self._options(value, message, data))
            held = not value.is_live
            try:
                self._store.set(node.uuid, options, held=held)
            except BaseException:
                # What is not in the file must not be in force.
                restore()
                raise
        except BusLostError:
            raise
        except Exception as error:  # noqa: BLE001 - of the driver or the store: the asker is told
            return self._write_failed(message, error)
        node.stored({} if held else options)
        if held:
            # Now, and not when the node is told: the next write may be checked against it, or stored with it.
            value.data = _with(value.data, message.index, data)
            return Written(message.token, data, None)
        instances = self._devices[message.hadd].instance_texts() if value.role is Role.INSTANCE else {}
        return Written(message.token, data, None, instances)

    def _call(self, key: str, call: Callable[[], None]) -> None:
        """Call what a driver wants to be called; where that fails, the log is told."""
        if self.fenced:
            # It hung just now, and its successor has the devices: what the driver would do now, as to write to one,
            # it would do to the successor's.
            return
        try:
            call()
        except BusLostError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the driver raises: its other work goes on
            about: dict[str, Any] = {"call": key, **bug(error)}
            self._repeats.failed(key, "driver_call_failed", said(error), **about)
        else:
            self._repeats.worked(key, "driver_call_recovered", call=key)

    def _retune(self, hadd: Hadd) -> None:
        """Have a device take over the options that its node has now.

        Raises:
            Exception: whatever the driver does where it does not take one: the next bus is made with it.
        """
        device = self._devices[hadd]
        node = self._board.nodes[hadd]
        fresh = type(device)(node.uuid, node.options)
        for uuid, value in device.values.items():
            if isinstance(value, Setting):
                for index, data in enumerate(fresh.settings(uuid)):
                    if device.setting(uuid, index) != data:
                        device.change_setting(uuid, data, index)
        device.take_instances(fresh)

    def _write_failed(self, message: Write | Configure, error: Exception) -> Written:
        text = said(error)
        about: dict[str, Any] = bug(error)
        if about and not isinstance(error, ValueError):
            # A ValueError says what was expected, to whoever has asked; nobody but the log is told where a bug is.
            about |= {"hadd": str(message.hadd), "value": message.uuid}
            self._repeats.failed(f"{message.hadd} {message.uuid}", "write_failed", text, **about)
        return Written(message.token, None, text)

    def _apply(self, value: NodeValue, message: Configure) -> tuple[Any, Callable[[], None]]:
        """Have the device take a change, where it is the device's; the data now, and what takes it back."""
        device = self._devices[message.hadd]
        if value.role is Role.SETTING and value.is_live:
            before = device.setting(value.source, message.index)
            data = device.change_setting(value.source, message.data, message.index)
            return data, lambda: device.change_setting(value.source, before, message.index)
        if value.role is Role.INSTANCE and value.is_live:
            restore = device.remember_instances()
            device.change_instance(value.source, message.data, message.index)
            return message.data, restore
        if value.role is Role.ADDRESS and self._board.taken(Hadd.parse(message.data), self._board.nodes[message.hadd]):
            # The node has checked it too; but another node may have taken it while this waited.
            raise ConfigurationError("expected an address that is free")
        return message.data, _nothing

    def _options(self, value: NodeValue, message: Configure, data: Any) -> dict[str, str]:
        """What the file must hold for it: one option, or all instances, as one alone would be read as the only one."""
        # What the device has now: the board may not have been told yet of the write before this one.
        device = self._devices[message.hadd]
        everything: Sequence[Any]
        if not value.is_live:
            everything = _with(value.data, message.index, data)
        elif value.role is Role.INSTANCE:
            everything = device.instance_texts()[value.source]
        elif value.role is Role.SETTING and len(value.data) > 1:
            everything = device.settings(value.source)
        else:
            return {value.key(message.index): to_text(data)}
        return {value.key(index): to_text(each) for index, each in enumerate(everything)}

    def _give_up(self, error: BaseException | None) -> None:
        """The bus has failed: its nodes are offline at once, and the driver is closed, as far as it lets itself."""
        reason = said(error) if error is not None else ""
        self.tell_path(self._link, BusFailed(reason))
        # Whoever waits for a driver that does not close would wait for ever with the restart.
        why = f"{reason}; and its close took longer than {CLOSE_TIMEOUT:g} s"
        timer = self.system.wheel.schedule(CLOSE_TIMEOUT, lambda: self.kill(why))
        try:
            self._close()
        finally:
            self.system.wheel.cancel(timer)

    def _close(self) -> None:
        """Close components, then the bus; what one raises does not keep the others from it."""
        self._services.close()
        bus, self._bus = self._bus, None
        components = [] if bus is None else list(bus.components.values())
        closes: list[tuple[Device, Callable[[], None]]] = []
        if bus is not None:
            closes = [(each, partial(bus.close_component, each)) for each in reversed(components)]
            closes.append((bus, bus.close_all))
        for device, close in closes:
            try:
                close()
            except Exception as error:  # noqa: BLE001 - the driver's code, and there is nobody left to tell
                self._log.warning("close_failed", device=device.uuid, error=said(error))
        self._devices.clear()
        self._claims.release()

    def _tell(self, ref: ActorRef[Any], message: Reading | Written) -> None:
        if self.fenced:
            return
        try:
            ref.tell(message)
        except ActorDeadError:
            # It has been restarted meanwhile; its successor asks anew.
            self.system.count_dead_letter()


@dataclass(slots=True)
class ReadNext:
    """The bus to itself: go on with the read of a value whose instances are not all read yet."""

    message: Read
    data: list[Any] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)


def _with(everything: Sequence[Any], index: int, data: Any) -> list[Any]:
    """All instances, with other data for one."""
    return [data if number == index else old for number, old in enumerate(everything)]


def _nothing() -> None:
    """There is nothing to take back."""


def _sendable(data: Any) -> Any:
    """The data, where JSON can carry them: a copy, as the driver may change its own at any time."""
    if data is None or isinstance(data, (bool, float, str)):
        return finite(data)
    # Whole numbers too: Python writes none of more than some thousand digits.
    return json.loads(json.dumps(data, allow_nan=False))

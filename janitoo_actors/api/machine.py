"""State machines of buses: declared as values are, commanded and watched over the network.

    class Heating(Stateful):
        oid = "heating"
        off = State("It does nothing", initial=True, poll_delay=0)
        on = State("It heats")
        start = Transition(off, on)
        stop = Transition(on, off, after=3600)

        @on.entered
        def begin(self) -> None: ...

`self.start()` goes from `off` to `on`, and so does who writes "start" to its value `transition`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self, TypeVar, overload

import structlog

from janitoo_actors.api.bus import Bus
from janitoo_actors.api.device import Device
from janitoo_actors.api.schema import Option
from janitoo_actors.api.values import Instance, Setting, Value
from janitoo_actors.errors import BusLostError, ConfigurationError, bug, said
from janitoo_actors.protocol.codes import CommandClass, Genre

_Method = TypeVar("_Method", bound=Callable[..., None])
_TIMER: Final = "transition"


class State:
    """A state of a bus.

    Args:
        help: what the bus does in it, for people.
        initial: whether the bus starts in it; the first one declared, where none is.
        poll_delay: the delay with which all polled values of its components are polled in it, in seconds; 0 for not at
            all; None for as they are configured.
    """

    name: str

    def __init__(self, help: str, *, initial: bool = False, poll_delay: float | None = None) -> None:
        self.help = help
        self.initial = initial
        self.poll_delay = poll_delay
        self.entered_by: str | None = None
        self.left_by: str | None = None

    def __set_name__(self, owner: type[Device], name: str) -> None:
        """Take the attribute's name."""
        self.name = name

    def entered(self, method: _Method) -> _Method:
        """Decorate the method that is called when the bus has come to it: `(self) -> None`. On the bus's thread."""
        self.entered_by = method.__name__
        return method

    def left(self, method: _Method) -> _Method:
        """Decorate the method that is called when the bus is about to leave it: `(self) -> None`. Likewise."""
        self.left_by = method.__name__
        return method


class Transition:
    """A way from one state, or several, to another. On a bus, a method that takes it, and says whether it could.

    Args:
        source: where it begins.
        target: where it leads.
        after: that it is taken by itself, so many seconds after the bus has come to its source; a text is the name of
            a setting or an option of the bus that has them.
    """

    name: str

    def __init__(self, source: State | Sequence[State], target: State, *, after: float | str | None = None) -> None:
        self.sources = (source,) if isinstance(source, State) else tuple(source)
        self.target = target
        self.after = after

    def __set_name__(self, owner: type[Device], name: str) -> None:
        """Take the attribute's name."""
        self.name = name

    @overload
    def __get__(self, bus: None, owner: type[Device]) -> Self: ...
    @overload
    def __get__(self, bus: Stateful, owner: type[Device]) -> Callable[[], bool]: ...
    def __get__(self, bus: Stateful | None, owner: type[Device]) -> Self | Callable[[], bool]:
        """What takes it, on a bus; the declaration, on its class."""
        return self if bus is None else partial(bus.take, self)


class Stateful(Bus):
    """A bus with a state machine. It starts in its initial state each time that it is opened.

    Attributes:
        states, transitions: what is declared, by name.
        current: the state that it is in; None before it has started.
    """

    states: ClassVar[Mapping[str, State]] = MappingProxyType({})
    transitions: ClassVar[Mapping[str, Transition]] = MappingProxyType({})
    current: State | None = None

    state = Value(
        "sensor_string",
        help="The state that the bus is in",
        genre=Genre.BASIC,
        cmd_class=CommandClass.FSM,
        poll_delay=300,
    )
    transition = Value(
        "action_list",
        help="Take a transition to another state",
        genre=Genre.COMMAND,
        cmd_class=CommandClass.FSM,
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the states and transitions that are declared on the class and on those it inherits from.

        Raises:
            TypeError: a transition is of a state that is none of its, or waits for a setting that is none; several
                states are the initial one; or one has the name of something else, and would take its place.
        """
        super().__init_subclass__(**kwargs)
        for name, each in vars(cls).items():
            if isinstance(each, State | Transition):
                _refuse_taken(cls, name, each)
        declared = [each for base in reversed(cls.__mro__) for each in vars(base).values()]
        cls.states = MappingProxyType({each.name: each for each in declared if isinstance(each, State)})
        cls.transitions = MappingProxyType({each.name: each for each in declared if isinstance(each, Transition)})
        if sum(state.initial for state in cls.states.values()) > 1:
            raise TypeError(f"{cls.__name__} has several initial states: expected one")
        for way in cls.transitions.values():
            if unknown := {*way.sources, way.target} - set(cls.states.values()):
                raise TypeError(f"{cls.__name__}: {way.name} is of a state that is no state of it: {unknown}")
            if isinstance(way.after, str) and not isinstance(getattr(cls, way.after, None), Setting | Option):
                raise TypeError(f"{cls.__name__}: {way.name} is after {way.after}, which is no setting and no option")
        command = copy(cls.values["transition"])
        command.list_items = tuple(cls.transitions)
        cls.values = MappingProxyType({**cls.values, "transition": command})

    @state.reader
    def read_state(self, _instance: Instance) -> str | None:
        """The name of the state."""
        return self.current.name if self.current is not None else None

    @transition.writer
    def write_transition(self, _instance: Instance, data: str) -> None:
        """Take a transition. ConfigurationError where it does not begin at this state."""
        if not self.take(self.transitions[data]):
            now = self.current.name if self.current is not None else "no state"
            possible = [way.name for way in self.transitions.values() if self.current in way.sources]
            raise ConfigurationError(f"expected one of {', '.join(possible) or 'none'}, as it is {now}")

    def started(self) -> None:
        """Come to the initial state."""
        super().started()
        states = list(self.states.values())
        initial = next((state for state in states if state.initial), states[0] if states else None)
        if initial is not None:
            self._enter(initial)

    def take(self, way: Transition) -> bool:
        """Take a transition, where it begins at the state that the bus is in; whether it did. On the bus's thread."""
        left = self.current
        if left is None or left not in way.sources:
            return False
        structlog.get_logger().info("state_changed", bus=self.uuid, state=way.target.name, left=left.name, by=way.name)
        for each in self.transitions:
            self.cancel(f"{_TIMER} {each}")
        try:
            self._call(left.left_by)
        finally:
            # It is left, whatever its method thinks of it.
            self._enter(way.target)
        return True

    def _enter(self, state: State) -> None:
        self.current = state
        for component in self.components.values():
            for uuid, value in component.values.items():
                # What the file has not polled is polled in no state.
                if value.is_polled and component.poll_delay(uuid) > 0:
                    component.poll_every(uuid, state.poll_delay)
        for way in self.transitions.values():
            if way.after is not None and state in way.sources:
                seconds = way.after if not isinstance(way.after, str) else getattr(self, way.after)
                self.after(float(seconds), partial(self._timed, way), key=f"{_TIMER} {way.name}")
        self.changed("state")
        self._call(state.entered_by)

    def _timed(self, way: Transition) -> None:
        self.take(way)

    def _call(self, method: str | None) -> None:
        """Call a method of a state. One that fails, as at a LED that is not there, keeps the bus from no state."""
        if method is None:
            return
        try:
            getattr(self, method)()
        except BusLostError:
            raise
        except Exception as error:  # noqa: BLE001 - the driver's code: the state has changed, whatever comes of it
            about = {"bus": self.uuid, "method": method, "error": said(error), **bug(error)}
            structlog.get_logger().warning("state_method_failed", **about)


def _refuse_taken(cls: type[Stateful], name: str, declared: State | Transition) -> None:
    """Refuse a state or a transition with the name of a method or a value, as `open`: nothing would work any more."""
    for base in cls.__mro__[1:]:
        if name in vars(base):
            if not isinstance(vars(base)[name], type(declared)):
                what = type(declared).__name__.lower()
                raise TypeError(f"{cls.__name__}: the {what} {name} needs another name, as {base.__name__} has {name}")
            return

"""Filters that any sensor can have: what is absurd is read again, and not believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

from janitoo_actors.api import BusLostError, Component, Maybe, Number, Option, TemporaryError, Value, Whole

_HUGE: Final = 1e12


@dataclass(frozen=True, slots=True)
class Limits:
    """What a value can be by its nature, in its units: the defaults of its filter's options.

    Attributes:
        minimum, maximum: what the sensor can measure; None for no limit.
        step: how far two readings in a row can be apart; None for any distance.
        power_on: what the sensor gives that has just got its power, and has not measured yet; None where it gives no
            such thing.
        near: how far from that the reading before may be for it to be real, where there is no step.
    """

    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    power_on: float | None = None
    near: float = 0.0


@dataclass(slots=True)
class _Known:
    """What is known of one instance: its last good reading as it was read, a suspect one, and what was told."""

    last: float | None = None
    suspect: float | None = None
    smooth: float | None = None


class FilteredComponent(Component):
    """A component whose values are filtered, each by options of its section:

    `<value>_min`, `<value>_max`: readings outside of these are wrong. `<value>_step`: a reading further than this from
    the one before is wrong, unless the next poll finds it too. `<value>_power_on`: what the sensor gives when its power
    has just come; this very reading is wrong, however often it comes, unless the one before was near it.
    `<value>_retries`: how often a wrong reading is read again at once. `<value>_smoothing`: how much of what is told is
    the value before: 0 is none. Of a value with several instances, each may have its own, as `<value>_max_2`; the
    others have the one without a number.

    Attributes:
        filtered_values: the values that are, and what each can be.
    """

    filtered_values: ClassVar[Mapping[str, Limits]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Declare the options of the filters."""
        for uuid, limits in vars(cls).get("filtered_values", {}).items():
            value = getattr(cls, uuid, None)
            for option in _options(
                uuid, limits, has_instances=isinstance(value, Value) and value.instances is not None
            ):
                setattr(cls, f"option_{option.key}", option)
        super().__init_subclass__(**kwargs)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._known: dict[tuple[str, int], _Known] = {}

    def believed(self, uuid: str, index: int, read: Callable[[], Any]) -> Any:
        """What counts of a reading: for the values that have a filter, what that leaves of it."""
        return self.filtered(uuid, index, read) if uuid in self.filtered_values else read()

    def filtered(self, uuid: str, index: int, read: Callable[[], float]) -> float:
        """A reading that can be believed, in the value's units. On the bus's thread; blocks as `read` does.

        Args:
            read: reads the sensor; called again, at once, where the reading is wrong or a TemporaryError.

        Raises:
            BusLostError: as `read` does, at once.
            TemporaryError: none of the tries gave such a reading; it says what was read, and what was expected.
        """
        known = self._known.setdefault((uuid, index), _Known())
        suspect, known.suspect = known.suspect, None
        failure: TemporaryError | None = None
        for _ in range(1 + self.option(f"{uuid}_retries", index)):
            try:
                reading = read()
            except BusLostError:
                raise
            except TemporaryError as error:
                failure = error
                continue
            problem = (
                self._out_of_range(uuid, index, reading)
                or self._power_on(uuid, index, reading, known.last, suspect)
                or self._leap(uuid, index, reading, known, suspect)
            )
            if problem is None:
                return self._accept(uuid, index, known, reading)
            failure = TemporaryError(problem)
        assert failure is not None
        raise failure

    def _out_of_range(self, uuid: str, index: int, reading: float) -> str | None:
        low, high = self.option(f"{uuid}_min", index), self.option(f"{uuid}_max", index)
        # NaN is neither below nor above anything.
        if (low is None or reading >= low) and (high is None or reading <= high) and not math.isnan(reading):
            return None
        limits = [f"{low:g} or more"] if low is not None else []
        limits += [f"{high:g} or less"] if high is not None else []
        keys = ", ".join(self.option_key(f"{uuid}_{name}", index) for name in ("min", "max"))
        return f"{reading:g} cannot be: expected {', '.join(limits) or 'a number'} ({keys})"

    def _power_on(self, uuid: str, index: int, reading: float, *before: float | None) -> str | None:
        """Why a reading is what a sensor gives that has not measured; None where it is another, or may be real."""
        if reading != self.option(f"{uuid}_power_on", index):
            return None
        step: float | None = self.option(f"{uuid}_step", index)
        near = step if step is not None else self.filtered_values[uuid].near
        if any(each is not None and abs(reading - each) <= near for each in before):
            return None
        key = self.option_key(f"{uuid}_power_on", index)
        return (
            f"{reading:g} is what the sensor gives when its power has just come; it counts after a reading that is "
            f"at most {near:g} from it ({key})"
        )

    def _leap(self, uuid: str, index: int, reading: float, known: _Known, suspect: float | None) -> str | None:
        """Why a reading is too far from the last one; None where it is not, or the poll before has read it too."""
        largest: float | None = self.option(f"{uuid}_step", index)
        if not _is_a_leap(reading, known.last, largest):
            return None
        if suspect is not None and not _is_a_leap(reading, suspect, largest):
            return None
        known.suspect = reading
        step = f"{self.option_key(f'{uuid}_step', index)} = {largest:g}"
        return f"{reading:g} is further than {step} from {known.last:g}; it counts when the next poll reads it too"

    def _accept(self, uuid: str, index: int, known: _Known, reading: float) -> float:
        share = self.option(f"{uuid}_smoothing", index)
        leapt = _is_a_leap(reading, known.last, self.option(f"{uuid}_step", index))
        known.last = reading
        # A leap that is believed is a real one, and not noise to be smoothed away.
        if known.smooth is None or leapt:
            known.smooth = reading
        else:
            known.smooth = share * known.smooth + (1 - share) * reading
        return known.smooth


def _is_a_leap(reading: float, last: float | None, largest: float | None) -> bool:
    return largest is not None and last is not None and abs(reading - last) > largest


def _options(uuid: str, limits: Limits, *, has_instances: bool) -> Iterator[Option[Any]]:
    """The options of a value's filter; where it has instances, those that each may have for itself too."""
    for option in _common_options(uuid, limits):
        yield option
        if has_instances:
            yield Option(
                option.type,
                help=f"{option.key} of one instance",
                default_text=f"that of {option.key}",
                example=option.shown_default or "",
                key=option.key,
                of=uuid,
            )


def _common_options(uuid: str, limits: Limits) -> list[Option[Any]]:
    number = Maybe(Number(-_HUGE, _HUGE))
    about = f"of {uuid}: a reading"
    return [
        Option(number, help=f"{about} below this is wrong", default=limits.minimum, key=f"{uuid}_min"),
        Option(number, help=f"{about} above this is wrong", default=limits.maximum, key=f"{uuid}_max"),
        Option(
            Maybe(Number(0, _HUGE)),
            help=f"{about} further than this from the one before is wrong, unless the next poll reads it too",
            default=limits.step,
            key=f"{uuid}_step",
        ),
        Option(
            number,
            help=f"{about} of exactly this is what the sensor gives that has just got its power: wrong, unless the one "
            "before was near",
            default=limits.power_on,
            key=f"{uuid}_power_on",
        ),
        Option(
            Whole(0, 10),
            help=f"{about} that is wrong is read again at once, so often",
            default=2,
            key=f"{uuid}_retries",
        ),
        Option(
            Number(0, 0.99),
            help=f"of {uuid}: how much of what is told is the value before; 0: nothing",
            default=0.0,
            key=f"{uuid}_smoothing",
        ),
    ]

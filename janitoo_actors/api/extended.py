"""Buses with what other packages add to them."""

from __future__ import annotations

from typing import Final, cast

from janitoo_actors.api.bus import Bus, Extension
from janitoo_actors.api.made import Made

_MADE: Final[dict[tuple[type[Bus], tuple[type[Extension], ...]], type[Bus]]] = {}


def extended(bus_class: type[Bus], extensions: tuple[type[Extension], ...]) -> type[Bus]:
    """The class of a bus with extensions; the same class for the same ones.

    Raises:
        TypeError: two declare the same value or option.
        ValueError: one is for another kind of bus.
    """
    found = _MADE.get((bus_class, extensions))
    if found is not None:
        return found
    for each in extensions:
        if not issubclass(bus_class, each.extends):
            raise ValueError(f"{each.__name__} extends a bus {each.extends.oid}, and not this one")
    made = Made(bus_class.__name__, (bus_class,), {"parts": (*bus_class.parts, *extensions)})
    made.recipe = (extended, (bus_class, extensions))
    return _MADE.setdefault((bus_class, extensions), cast("type[Bus]", made))

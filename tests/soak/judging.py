"""What of a server may grow, and by how much. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from janitoo_actors.network.leases.rules import MOST_ANSWERS, Remembered
from janitoo_actors.protocol.leases import LeaseAnswer
from soak.growth import Growth, growth
from soak.looking import Sample

TOLERANCES: Final = {
    "rss": (4096, 0.05),
    "blocks": (2000, 0.02),
    "threads": (3, 0.0),
    "files": (2, 0.0),
    "processes": (0, 0.0),
    "timers": (10, 0.2),
    "zombies": (0, 0.0),
    "backlog": (10, 0.0),
    "cpu": (100, 0.5),
}
"""By how much each figure may grow, and by which part of itself. A poll that is under way has a second timer."""
OF_A_TYPE: Final = (40, 0.1)
BOUNDED: Final = {f"{each.__module__}.{each.__qualname__}": MOST_ANSWERS for each in (Remembered, LeaseAnswer)}
"""Objects of which a primary keeps so many, and comes to it slowly."""


def judged(samples: Sequence[Sample]) -> Mapping[str, Growth]:
    """How each figure has gone, and how many objects of each type there are."""
    found = {
        name: growth([each.figures[name] for each in samples], *TOLERANCES[name.partition(" of ")[0]])
        for name in samples[0].figures
    }
    for name in sorted({name for each in samples for name in each.types}):
        tolerance, relative = (BOUNDED[name], 0.0) if name in BOUNDED else OF_A_TYPE
        found[f"objects of {name}"] = growth([each.types.get(name, 0) for each in samples], tolerance, relative)
    return found


def grown(samples: Sequence[Sample]) -> Mapping[str, str]:
    """What has grown by more than it may."""
    return {name: str(found) for name, found in judged(samples).items() if found.is_too_much}

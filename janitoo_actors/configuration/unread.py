"""Options that no driver reads: misspelt, most likely. Pure functions; any thread."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from janitoo_actors.api.device import Device
from janitoo_actors.api.values import Value
from janitoo_actors.configuration.suggest import did_you_mean

_INDEXED: Final = re.compile(r"(.+)_([0-9]{1,4})")


def values_of(device_class: type[Device]) -> Mapping[str, Value]:
    """The declared values of a class, by the option (without its index) that configures them."""
    return dict(device_class.option_keys())


def unread_options(device_class: type[Device], keys: Iterable[str], others: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each key that the class does not declare, with "; did you mean …?" or nothing.

    Args:
        others: keys that are read by somebody else, as `heartbeat`; they may be meant.
    """
    declared = values_of(device_class)
    for key in keys:
        match = _INDEXED.fullmatch(key)
        prefix, index = (match[1], match[2]) if match is not None else (key, "0")
        if match is not None and prefix in declared:
            continue
        candidates = [*(f"{each}_{index}" for each in declared), *others]
        yield key, did_you_mean(key, candidates)

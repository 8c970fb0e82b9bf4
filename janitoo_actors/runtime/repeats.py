"""Errors that repeat: logged once, then counted."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from structlog.typing import FilteringBoundLogger

_MOST_KEYS: Final = 256
"""How many different errors are told apart; others' messages must not fill the memory."""


@dataclass(slots=True)
class _Repeated:
    text: str
    times: int = 1


class Repeats:
    """Logs an error when it is new, when it has come 10, 100, 1,000, … times, and when it is over.

    One thread at a time.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._errors: dict[str, _Repeated] = {}

    def failed(self, key: str, event: str, error: str, *, level: int = logging.WARNING, **about: Any) -> None:
        """Tell that something failed. `key` says what; the same `error` for it again is counted."""
        known = self._errors.get(key)
        if known is None or known.text != error:
            while known is None and len(self._errors) >= _MOST_KEYS:
                # The oldest goes: should it come again, it is logged again.
                self._errors.pop(next(iter(self._errors)))
            self._errors[key] = _Repeated(error)
            self._log.log(level, event, error=error, **about)
            return
        known.times += 1
        if _is_power_of_ten(known.times):
            self._log.log(level, event, error=error, times=known.times, **about)

    def worked(self, key: str, event: str, **about: Any) -> None:
        """Tell that it works; logged where it had failed before."""
        known = self._errors.pop(key, None)
        if known is not None:
            self._log.info(event, failures=known.times, **about)

    def forget(self, key: str) -> None:
        """Take it that something works, without a word."""
        self._errors.pop(key, None)

    def times(self, key: str) -> int:
        """How often in a row it has failed with its last error."""
        known = self._errors.get(key)
        return known.times if known is not None else 0


def _is_power_of_ten(number: int) -> bool:
    while number % 10 == 0:
        number //= 10
    return number == 1

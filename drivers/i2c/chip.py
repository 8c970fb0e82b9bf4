"""What all chips on an I2C bus have in common."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from drivers.filters import FilteredComponent
from drivers.i2c.bus import I2cBus
from janitoo_actors.api import Hardware, OptionType

_FIRST: Final = 0x03
_LAST: Final = 0x77


class I2cAddress(OptionType[int]):
    """An address on the bus, of 7 bits."""

    name = "I2C address"

    @property
    def allowed(self) -> str:
        """What it may be."""
        return f"an address from {_FIRST:#04x} to {_LAST:#04x}, as 0x76"

    def parse(self, text: str, folder: Path = Path()) -> int:  # noqa: ARG002 - it has no paths
        """Read it: 0x76, or 118."""
        try:
            number = int(text, 0)
        except ValueError:
            raise self.refused() from None
        if not _FIRST <= number <= _LAST:
            raise self.refused()
        return number

    def text(self, data: int) -> str:
        """As data sheets write it."""
        return f"{data:#04x}"


class I2cChip(FilteredComponent):
    """A chip. It is got ready when it is first read, and again after each failure: others do not wait for it.

    Subclasses declare `address = Option(I2cAddress(), default=…)`.
    """

    bus_class = I2cBus
    bus: I2cBus
    _is_ready = False

    def takes(self) -> Iterable[Hardware]:
        """Its address on the bus."""
        adapter = self.bus.busnum
        return [Hardware(f"i2c-{adapter}-{self._at:02x}", f"the address {self._at:#04x} of the I2C adapter {adapter}")]

    def ready(self) -> None:
        """Find out whether the chip is there and the right one, and set it up, where that has not been done yet.

        Raises:
            TemporaryError, ConfigurationError: why not.
        """
        if not self._is_ready:
            self.bus.check_free(self._at)
            self.set_up()
            self._is_ready = True

    def lost(self) -> None:
        """The chip has failed: it may have lost its power, and with it all settings."""
        self._is_ready = False

    def set_up(self) -> None:
        """Check what chip it is, and give it its settings. Subclasses do; blocks for the bus."""

    @property
    def _at(self) -> int:
        at: int = self.option("address")
        return at

    def _read(self, register: int, count: int) -> bytes:
        return self._exchange((register,), count)

    def _write(self, register: int, *data: int) -> None:
        self._exchange((register, *data), 0)

    def _exchange(self, send: Iterable[int], count: int) -> bytes:
        try:
            return self.bus.exchange(self._at, send, count)
        except Exception:
            # Whatever it was, and however it is told: nothing is known of the chip any more.
            self.lost()
            raise

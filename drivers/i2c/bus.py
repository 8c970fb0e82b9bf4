"""The bus `rpii2c`: an I2C adapter of the kernel, and the chips on it, on smbus2."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from drivers.holders import kernel_driver, programs_with
from drivers.libraries import library
from janitoo_actors.api import (
    Bus,
    BusLostError,
    ConfigurationError,
    Hardware,
    Option,
    PermanentError,
    TemporaryError,
    Whole,
)

_SILENCES: Final = 3
"""Times in a row that one chip does not answer: then the adapter is opened anew."""
_NO_ANSWER: Final = "does not answer: is it wired, powered, and at this address?"
_WHY: Final = {
    errno.EREMOTEIO: _NO_ANSWER,
    errno.ENXIO: _NO_ANSWER,
    errno.ETIMEDOUT: "holds the bus for too long (timeout)",
    errno.EAGAIN: "was not reached: another master has taken the bus meanwhile (arbitration)",
}
_DEVICES: Final = Path("/sys/bus/i2c/devices")
_GONE: Final = frozenset({errno.ENODEV, errno.EBADF, errno.ENOENT})


class I2cBus(Bus):
    """An I2C adapter.

    What fails on it is one chip's failure, unless the adapter itself is gone. Chips that fall silent after hours come
    back when the adapter is opened anew: it is, where one does not answer several times in a row.
    """

    oid = "rpii2c"
    name = "I2C bus"
    product_name = "I2C bus"
    requires = ("smbus2",)
    busnum = Option(Whole(0, 255), default=1, help="The number of the adapter: 1 for /dev/i2c-1")

    _adapter: Any = None
    _smbus2: Any = None

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._silent: Counter[int] = Counter()

    def takes(self) -> Iterable[Hardware]:
        """The adapter."""
        return [Hardware.i2c(self.busnum)]

    def open(self) -> None:
        """Open the adapter.

        Raises:
            PermanentError: smbus2 is not installed.
            TemporaryError: there is no such adapter now, or it may not be opened.
        """
        self._smbus2 = library("smbus2", self.oid)
        self._open_adapter()

    def close(self) -> None:
        """Close the adapter."""
        adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.close()

    def check_free(self, address: int) -> None:
        """Refuse an address that a driver of the kernel serves.

        Raises:
            ConfigurationError: one does; with how to take it from there.
        """
        device = f"{self.busnum}-{address:04x}"
        name = kernel_driver(_DEVICES / device)
        if name is not None:
            raise ConfigurationError(
                f"the kernel's driver {name} has the chip at {address:#04x} of the I2C adapter {self.busnum}: "
                f"take it from there: echo {device} > /sys/bus/i2c/drivers/{name}/unbind"
            )

    def read_register(self, address: int, register: int, count: int) -> bytes:
        """Read bytes from a register of a chip on. On the bus's thread; blocks for the bus.

        Raises:
            TemporaryError: the chip does not answer.
            BusLostError: the adapter is gone.
            PermanentError: the adapter cannot do this.
        """
        return self.exchange(address, (register,), count)

    def exchange(self, address: int, send: Iterable[int], count: int) -> bytes:
        """Send bytes to a chip, then read so many; either may be nothing. Blocks and raises as `read_register`."""
        data = tuple(send)
        messages = [self._smbus2.i2c_msg.write(address, data)] if data else []
        if count:
            messages.append(self._smbus2.i2c_msg.read(address, count))
        self._transfer(address, *messages)
        return bytes(messages[-1]) if count else b""

    def _transfer(self, address: int, *messages: Any) -> None:
        try:
            if self._adapter is None:
                self._open_adapter()
            self._adapter.i2c_rdwr(*messages)
        except OSError as error:
            raise self._failure(error, address) from error
        self._silent[address] = 0

    def _open_adapter(self) -> None:
        try:
            self._adapter = self._smbus2.SMBus(self.busnum)
        except FileNotFoundError as error:
            advice = next(iter(self.takes())).advice
            if (_DEVICES / f"i2c-{self.busnum}").exists():
                advice = "the adapter works, and has no device file: load a module of the kernel with modprobe i2c-dev"
            raise TemporaryError(f"there is no /dev/i2c-{self.busnum}: {advice}") from error
        except PermissionError as error:
            text = f"/dev/i2c-{self.busnum} may not be opened: add the server's user to the group i2c"
            raise TemporaryError(text) from error
        except OSError as error:
            raise TemporaryError(f"/dev/i2c-{self.busnum} cannot be opened: {error.strerror}") from error

    def _failure(self, error: OSError, address: int) -> TemporaryError | PermanentError:
        chip = f"the chip at {address:#04x} of the I2C adapter {self.busnum}"
        if error.errno in _GONE:
            return BusLostError(f"the I2C adapter {self.busnum} is gone: {error.strerror}")
        if error.errno == errno.EOPNOTSUPP:
            return PermanentError(f"the I2C adapter {self.busnum} speaks SMBus only: use one that speaks I2C")
        self._silent[address] += 1
        if self._silent[address] >= _SILENCES or error.errno == errno.ETIMEDOUT:
            # Opened again with the next read.
            self._silent[address] = 0
            self.close()
        if error.errno == errno.EBUSY:
            programs = programs_with(Path(f"/dev/i2c-{self.busnum}"))
            others = f": {programs} has it open too" if programs else ", and no other program is seen that has it open"
            return TemporaryError(f"{chip} was not reached: the bus is busy{others}")
        why = _WHY.get(error.errno or 0)
        return TemporaryError(f"{chip}: {error.strerror or error}" if why is None else f"{chip} {why}")

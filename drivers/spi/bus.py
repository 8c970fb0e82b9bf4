"""The bus `rpispi`: an SPI bus of the kernel, on spidev."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Final

from drivers.holders import kernel_driver
from drivers.libraries import library
from janitoo_actors.api import Bus, BusLostError, ConfigurationError, Hardware, Option, TemporaryError, Whole

_DEVICES: Final = Path("/sys/bus/spi/devices")
_GONE: Final = frozenset({errno.ENODEV, errno.EBADF, errno.ESHUTDOWN})


class SpiBus(Bus):
    """An SPI bus. Its chips open their own devices, each with its chip select."""

    oid = "rpispi"
    name = "SPI bus"
    product_name = "SPI bus"
    requires = ("spidev",)
    busnum = Option(Whole(0, 255), default=0, help="The number of the bus: 0 for /dev/spidev0.…")

    _spidev: Any = None

    def open(self) -> None:
        """Find the library.

        Raises:
            PermanentError: spidev is not installed.
        """
        self._spidev = library("spidev", self.oid)

    def close(self) -> None:
        """There is nothing to close: the chips have their own."""

    def connect(self, chip_select: int, speed: int, mode: int) -> Any:
        """Open the device of a chip. On the bus's thread.

        Raises:
            TemporaryError: it is not there now, or may not be opened.
            ConfigurationError: a driver of the kernel has it.
        """
        device = self._spidev.SpiDev()
        name = f"/dev/spidev{self.busnum}.{chip_select}"
        try:
            device.open(self.busnum, chip_select)
            device.max_speed_hz = speed
            device.mode = mode
        except FileNotFoundError as error:
            driver = kernel_driver(_DEVICES / f"spi{self.busnum}.{chip_select}")
            if driver is not None:
                where = f"the chip select {self.busnum}.{chip_select}"
                text = f"the kernel's driver {driver} has {where}: remove its overlay from /boot/firmware/config.txt"
                raise ConfigurationError(text) from error
            raise TemporaryError(f"there is no {name}: {Hardware.spi(self.busnum, chip_select).advice}") from error
        except PermissionError as error:
            raise TemporaryError(f"{name} may not be opened: add the server's user to the group spi") from error
        except OSError as error:
            device.close()
            raise TemporaryError(f"{name} cannot be opened: {error.strerror or error}") from error
        return device

    def failure(self, error: OSError, chip_select: int) -> TemporaryError | BusLostError:
        """What a failed transfer means."""
        name = f"/dev/spidev{self.busnum}.{chip_select}"
        if error.errno in _GONE:
            return BusLostError(f"{name} is gone: {error.strerror}")
        return TemporaryError(f"{name}: {error.strerror or error}")

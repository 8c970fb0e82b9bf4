"""The bus of the host's sensors. It holds no device: the components read the kernel's own figures."""

from __future__ import annotations

import importlib

from janitoo_actors.api import Bus, PermanentError
from janitoo_actors.configuration.extras import pip


class HostsensorBus(Bus):
    """The sensors of the machine that the server runs on."""

    oid = "hostsensor"
    product_name = "Host sensor controller"

    def open(self) -> None:
        """Import psutil, so that no read waits for it. On the bus's thread; blocks for a tenth of a second.

        Raises:
            PermanentError: psutil cannot be imported.
        """
        try:
            importlib.import_module("psutil")
        except ImportError as error:
            raise PermanentError(f"psutil cannot be imported: {error}; try `{pip()} install psutil`") from error

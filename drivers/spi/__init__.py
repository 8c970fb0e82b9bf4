"""The bus `rpispi` and its chips."""

from drivers.spi.bus import SpiBus
from drivers.spi.chips import AnyTransfer, Mcp3008, Mcp3208

__all__ = ["AnyTransfer", "Mcp3008", "Mcp3208", "SpiBus"]

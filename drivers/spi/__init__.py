"""The bus `rpispi` and its chips."""

from drivers.spi.anychip import AnyTransfer
from drivers.spi.bus import SpiBus
from drivers.spi.chips import Mcp3008, Mcp3208

__all__ = ["AnyTransfer", "Mcp3008", "Mcp3208", "SpiBus"]

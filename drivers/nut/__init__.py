"""The bus `nut`: uninterruptible power supplies, by the servers of Network UPS Tools (`upsd`), on nut2."""

from drivers.nut.ups import NutBus, Ups

__all__ = ["NutBus", "Ups"]

"""Buses without their devices: `simulate = True` in a bus's section. See `docs/simulator.md`."""

from janitoo_actors.simulation.devices import simulated

__all__ = ["simulated"]

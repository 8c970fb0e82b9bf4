"""Janitoo Actors: a supervised runtime for home automation, wire-compatible with Janitoo."""

__version__ = "0.1.0.dev0"

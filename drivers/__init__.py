"""Drivers: the buses and components that Janitoo Actors runs."""

"""The configuration of a server: an INI file, read and checked at start, written when a value is set over the air.

`loader.load` reads it into the classes of `model`, with the drivers that a `registry.Registry` finds.
`store.ConfigStore` writes to it, and keeps its last good copies; `fallback` starts with one of them, when told to.
"""

"""The control socket: what a person on this machine asks of a running server. `docs/control.md` has the protocol."""

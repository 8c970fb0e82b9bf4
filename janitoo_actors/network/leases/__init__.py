"""Leases: a primary hands out addresses, and keeps what the nodes that have them have told of themselves."""

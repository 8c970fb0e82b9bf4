"""The network: a map of all nodes and values, kept by discovery, heartbeats and values on the air; and its leases.

`engine.py` and what it uses are pure: no thread, no clock, no MQTT. `actor.py` and `link.py` run them in a server.
"""

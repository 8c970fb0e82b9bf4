"""The runtime: buses, nodes and pollers as actors, and their way to the network."""

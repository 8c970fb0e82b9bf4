"""The Janitoo wire: addresses, codes, topics, requests, replies. Pure data and functions; no I/O."""

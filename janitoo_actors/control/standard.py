"""All requests that the control socket of a server serves."""

from __future__ import annotations

from janitoo_actors.control import acting, configuring, facts, looking, overview, streaming, valuing
from janitoo_actors.control.requests import Requests


def standard_requests() -> Requests:
    """Those of `docs/control.md`."""
    requests = Requests()
    for module in (configuring, looking, overview, acting, valuing, streaming, facts):
        module.add_to(requests)
    return requests

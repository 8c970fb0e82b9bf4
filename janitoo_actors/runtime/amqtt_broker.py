"""The program of the process that is an amqtt broker: settings as JSON on stdin, warnings on stderr.

Run as `python -m janitoo_actors.runtime.amqtt_broker`. Nothing else imports it: amqtt is an extra.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sys
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker
from amqtt.errors import AMQTTError
from amqtt.plugins.base import BaseAuthPlugin


class OneUser(BaseAuthPlugin):  # type: ignore[misc]  # amqtt does not declare its types
    """Lets one user in, with one password.

    amqtt's own plugin wants a file with an Argon2 hash, which costs 64 MB and a tenth of a second each time someone
    connects.
    """

    @dataclass
    class Config:
        """The plugin's settings, as amqtt fills them in."""

        user: str
        password: str

    async def authenticate(self, *, session: Any) -> bool:
        """Whether a client may connect. On the broker's loop."""
        given = (session.username or "", session.password or "")
        expected = (self.config.user, self.config.password)
        # Compared as a whole, in a time that does not tell how much of it was right.
        return hmac.compare_digest(json.dumps(given).encode(), json.dumps(expected).encode())


def configuration(host: str, port: int, user: str | None, password: str | None) -> dict[str, Any]:
    """The configuration for amqtt 0.12: one listener, and one plugin that says who may connect."""
    if user is None:
        plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    else:
        # By its name: run with -m, this module is __main__.
        plugin = "janitoo_actors.runtime.amqtt_broker.OneUser"
        plugins = {plugin: {"user": user, "password": password or ""}}
    # Not in brackets, though amqtt documents them for IPv6: it leaves them in the address. It splits at the last colon.
    return {"listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}}, "plugins": plugins}


async def serve(settings: dict[str, Any]) -> None:
    """Be the broker, until the process ends. Raises AMQTTError where it cannot start."""
    broker = Broker(configuration(**settings))
    await broker.start()
    await asyncio.Event().wait()


def main() -> int:
    """Read the settings and be the broker; the exit code. SIGTERM ends it at once: it keeps nothing."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(json.load(sys.stdin)))
    except AMQTTError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

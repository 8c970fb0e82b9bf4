"""The reference of the requests: a peer of raw paho-mqtt that echoes. python -m benchmarks.echo HOST PORT"""

from __future__ import annotations

import sys
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage

from benchmarks.air import paho_client
from janitoo_actors.configuration.model import BrokerConfig

REQUEST: Final = "/bench/echo/request"
REPLY: Final = "/bench/echo/reply"


def main() -> None:
    """Echo until the process is ended."""
    client = paho_client(BrokerConfig(sys.argv[1], int(sys.argv[2])), "bench-echo")
    client.on_connect = lambda client, *_: client.subscribe(REQUEST)
    client.on_message = _echo
    client.loop_forever()


def _echo(client: Client, _data: Any, message: MQTTMessage) -> None:
    client.publish(REPLY, message.payload)


if __name__ == "__main__":
    main()

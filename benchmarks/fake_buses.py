"""Controllers that answer discovery at once, in a process of their own.

python -m benchmarks.fake_buses HOST PORT CONTROLLERS NODES VALUES: so many controllers, each with so many nodes, its
own among them, each with so many basic values. One connection speaks for all; their replies are made beforehand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage

from benchmarks.air import paho_client
from janitoo_actors.configuration.model import BrokerConfig

_FIRST: Final = 100
_LISTS: Final = ("nodes", "users", "configs", "systems", "basics", "commands")


class FakeBuses:
    """The process, for as long as its context lasts."""

    def __init__(self, broker: BrokerConfig, controllers: int, nodes: int, values: int) -> None:
        numbers = [str(number) for number in (broker.port, controllers, nodes, values)]
        command = [sys.executable, "-m", "benchmarks.fake_buses", broker.host, *numbers]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __enter__(self) -> FakeBuses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Answer until killed."""
    host, *numbers = sys.argv[1:]
    port, controllers, nodes, values = map(int, numbers)
    lists = {_FIRST + number: _lists_of(_FIRST + number, nodes, values) for number in range(controllers)}
    subscribed = threading.Event()

    def answer(client: Client, _data: Any, message: MQTTMessage) -> None:
        request = json.loads(message.payload)
        what = request["uuid"].removeprefix("request_info_")
        head = json.dumps(request)[:-1]
        if message.topic == "/broadcast/request":
            asked, topic = list(lists), f"/broadcast/reply/{request['reply_hadd']}"
        else:
            asked, topic = [int(message.topic.split("/")[2])], f"/nodes/{request['reply_hadd']}/reply"
        for controller in asked:
            if controller in lists:
                client.publish(topic, f'{head}, "data": {lists[controller][what]}}}')

    client = paho_client(BrokerConfig(host, port), "bench-buses")
    client.on_message = answer
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = _subscribe
    client.loop_start()
    subscribed.wait()
    print("ready", flush=True)
    threading.Event().wait()


def _subscribe(client: Client, *_: Any) -> None:
    client.subscribe([("/broadcast/request", 0), ("/nodes/+/+/request", 0)])


def _lists_of(controller: int, nodes: int, values: int) -> dict[str, str]:
    """The data of its six lists, in JSON."""
    hadds = [f"{controller:04d}/{number:04d}" for number in range(nodes)]
    data: dict[str, dict[str, Any]] = {what: {} for what in _LISTS}
    for hadd in hadds:
        uuid = f"bus__{hadd}".replace("/", "_")
        data["nodes"][uuid] = {
            "uuid": uuid,
            "oid": "bench",
            "capabilities": [],
            "cmd_classes": [112, 49],
            "name": f"Node {hadd}",
            "product_name": "A product",
            "product_type": "Software component",
            "product_manufacturer": "Janitoo",
            "location": "Here",
            "heartbeat": 30,
            "config_timeout": 3,
            "hadd": hadd,
            "state": "ONLINE",
        }
        data["systems"][hadd] = {"heartbeat": _value(uuid, hadd, "heartbeat", 4, cmd_class=112, data=30)}
        data["configs"][hadd] = {"name": {"0": _value(uuid, hadd, "name", 3, cmd_class=112, data=f"Node {hadd}")}}
        data["basics"][hadd] = {
            f"value{number}": {"0": _value(uuid, hadd, f"value{number}", 1, cmd_class=49, data=number)}
            for number in range(values)
        }
    return {what: json.dumps(each) for what, each in data.items()}


def _value(node_uuid: str, hadd: str, uuid: str, genre: int, *, cmd_class: int, data: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "node_uuid": node_uuid,
        "voice_uuid": None,
        "hadd": hadd,
        "cmd_class": cmd_class,
        "is_readonly": genre == 1,
        "is_writeonly": False,
        "default": None,
        "label": uuid,
        "help": f"The {uuid} of the node",
        "units": None,
        "list_items": None,
        "max": None,
        "min": None,
        "genre": genre,
        "type": 3,
        "index": 0,
        "is_polled": genre == 1,
        "poll_delay": 30,
        "reply_hadd": None,
        "data": data,
    }


if __name__ == "__main__":
    main()

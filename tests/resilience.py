"""What the tests of failures look for: values on the air, events in the log."""

from __future__ import annotations

from structlog.typing import EventDict

from faulty_drivers import TIMEOUT
from mqtt_probe import Message
from running_server import Requester

SENSOR = "0701/0001"
"""The first component of the first bus of a `Configuration`."""


def wait_value(air: Requester, data: object, *, hadd: str = SENSOR, uuid: str = "temperature", since: int = 0) -> None:
    """Wait until a flat basic value has been published with these data."""

    def published(message: Message) -> bool:
        return message.topic == f"/values/basic/{hadd}/{uuid}" and message.value["data"] == data

    air.probe.wait_message(published, TIMEOUT, since=since)


def events(log: list[EventDict], name: str) -> list[EventDict]:
    """The events of this name, so far; threads go on logging meanwhile."""
    return [event for event in list(log) if event["event"] == name]

"""What original programs sent, read by us: each message of the captures in `tests/data/transcripts`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from janitoo_actors.protocol.messages import Discovery, DiscoveryRequest, ValueRequest, parse_request
from janitoo_actors.protocol.reading import command_class, iter_nodes, iter_values

TRANSCRIPTS = sorted((Path(__file__).parents[2] / "data" / "transcripts").glob("*.jsonl"))


def messages(transcript: Path) -> Iterator[tuple[str, Any]]:
    """The topics and payloads of a capture."""
    for line in transcript.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        yield message["topic"], message["payload"]


def count_of(data: Any) -> int:
    """How many values are in a payload, by looking for their keys at every level."""
    if not isinstance(data, dict):
        return 0
    if isinstance(data.get("uuid"), str) and "genre" in data:
        return 1
    return sum(map(count_of, data.values()))


def test_captures_are_there() -> None:
    assert len(TRANSCRIPTS) == 4


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_value_is_read(transcript: Path) -> None:
    total = 0
    for topic, payload in messages(transcript):
        if topic.startswith("/values/"):
            data = payload
        elif isinstance(payload, dict) and isinstance(payload.get("data"), dict) and payload["cmd_class"] == 20480:
            if payload["uuid"] == Discovery.NODES:
                assert len(list(iter_nodes(payload["data"]))) == len(payload["data"])
                continue
            data = payload["data"]
        else:
            continue
        values = list(iter_values(data))
        assert len(values) == count_of(data), topic
        for value in values:
            assert isinstance(command_class(value), int)
            assert isinstance(value["hadd"], str)
            assert "data" in value
        total += len(values)
    assert total > 0


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_request_is_read(transcript: Path) -> None:
    for topic, payload in messages(transcript):
        if not topic.endswith(("/request", "/request/")):
            continue
        request = parse_request(json.dumps(payload).encode())
        assert request.raw == payload
        if isinstance(request, DiscoveryRequest):
            assert request.what.value == payload["uuid"]
            assert str(request.reply_hadd) == payload["reply_hadd"]
            assert request.reply({}) == {**payload, "data": {}}
        else:
            assert isinstance(request, ValueRequest)
            assert request.uuid == payload["uuid"]
            assert request.cmd_class == payload["cmd_class"]
            assert str(request.hadd) == payload["hadd"]
            assert request.write == (str(payload["is_writeonly"]) == "True")

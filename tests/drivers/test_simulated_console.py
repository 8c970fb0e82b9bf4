"""What the console shows of an aggregate whose parts are simulated: the third server of the tutorial."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asked_server import AskedServer, asked
from brokers import Mosquitto
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.console import pages
from janitoo_actors.console.screen import Screen
from running_server import TIMEOUT
from tool_runs import ROOT
from waiting import wait_for

PARTS = ("ambiance", "temperature", "cpu", "led")


def write(folder: Path, broker: Mosquitto, *own: str) -> Path:
    text = (ROOT / "conf" / "tutorial.conf").read_text(encoding="utf-8").replace("/tmp/janitoo", str(folder))
    text = text.replace("broker = embedded\n", "").replace("= 127.0.0.1", f"= {broker.host}")
    text = text.replace("broker_port = 1883", f"broker_port = {broker.port}")
    path = folder / "tutorial.conf"
    path.write_text(text.replace("simulate = True", "\n".join(["simulate = True", *own])), encoding="utf-8")
    return path


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_an_aggregate_is_one_bus_with_all_of_its_parts(
    isolation: str, broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with asked(write(tmp_path, broker, f"isolation = {isolation}"), Registry.installed()) as server:
        wait_for(lambda: "pollers/0225/0004/switch" in str(server.ask("tree")), TIMEOUT, "all of it is shown")
        paths = [each["path"] for each in server.ask("tree", path="tutorial3")["actors"]]
        assert paths[:2] == ["/buses/tutorial3", "/buses/tutorial3/link"]
        nodes = [path for path in paths if path.startswith("/buses/tutorial3/nodes/")]
        assert nodes == [f"/buses/tutorial3/nodes/0225/{number:04d}" for number in range(5)]
        # Values of the aggregate itself, of a bus inside it, and of its parts.
        values = {each["path"]: each for each in server.ask("values", path="tutorial3")["values"]}
        assert {"0225/0000/state", "0225/0000/average", "0225/0000/sensors", "0225/0004/switch"} <= set(values)
        (reading,) = server.ask("poll", path="0225/0002/temperature")["readings"]
        assert 20 <= reading["data"][0] <= 24
        for number, part in enumerate(PARTS, start=1):
            page = server.ask("status", path=f"0225/{number:04d}")
            assert page["configured"]["section"] == f"tutorial3__{part}"
            assert server.text.splitlines()[page["configured"]["line"] - 1] == f"[tutorial3__{part}]"
            # What is simulated takes nothing of the machine.
            assert page["claims"] == []
        capsys.readouterr()
        pages.status(Screen(), server.ask("status", path="tutorial3/bus"))
        shown = capsys.readouterr().out
        assert re.search(r"(?m)^0225/0000/average +[\d.]+ °C", shown)
        assert server.ask("health")["figures"]["online"] == 5
        assert server.ask("set", path="0225/0004/switch", value="on")["data"] == ["on"]
        _suspended_and_restarted(server)


def _suspended_and_restarted(server: AskedServer) -> None:
    assert "2 polls are held back" in server.ask("suspend", path="0225/0001")["done"]
    held = {each["path"] for each in server.ask("values")["values"] if each["suspended"]}
    assert held == {"0225/0001/temperature", "0225/0001/humidity"}
    server.ask("resume", path="tutorial3")
    assert "it runs" in server.ask("restart", path="/buses/tutorial3/bus")["done"]
    server.wait_online()


def test_faults_that_are_simulated_are_told_as_others(broker: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, broker)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[tutorial3__cpu]", "[tutorial3__cpu]\nsimulate_faults = error 1"), encoding="utf-8")
    with asked(path, Registry.installed(), online=False) as server:
        server.wait_online("0225/0001", "0225/0004")

        def told() -> list[str]:
            reasons = [each["text"] for each in server.ask("health")["reasons"]]
            return [each for each in reasons if each.startswith("tutorial3__cpu is OFFLINE: ")]

        wait_for(told, TIMEOUT, lambda: server.ask("health"))
        value = server.ask("values", path="0225/0003/temperature")["values"][0]
        assert value["failures"] >= 1
        assert value["error"] == "simulated: no answer"

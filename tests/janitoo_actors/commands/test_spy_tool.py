"""`jnt_spy`, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterable
from datetime import datetime

import pytest

from brokers import HOST, BrokerFactory, Mosquitto
from mqtt_probe import Probe
from replayed_peer import messages
from tool_runs import Tool, start_program
from waiting import wait_for


class RunningSpy:
    """A spy in a process of its own, with the lines that it has written so far."""

    def __init__(self, *arguments: str, port: int) -> None:
        self.process = start_program("spy", *arguments, port=port)
        self.out: list[str] = []
        self.err: list[str] = []
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._threads = [threading.Thread(target=self._collect, args=pipe, daemon=True) for pipe in pipes]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> RunningSpy:
        self.wait_err("Type Ctrl+C")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(5)

    def wait_err(self, text: str, times: int = 1) -> None:
        """Wait until this text was written to stderr."""
        wait_for(lambda: sum(text in line for line in self.err) >= times, 20, lambda: f"{text} in {self.err}")

    def wait_out(self, count: int) -> list[str]:
        """Wait until so many lines were written to stdout."""
        wait_for(lambda: len(self.out) >= count, 20, lambda: f"{count} lines in {self.out}")
        return self.out

    def interrupt(self) -> int:
        """Ctrl+C, once; the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        for thread in self._threads:
            thread.join(5)
        return code

    @staticmethod
    def _collect(pipe: Iterable[str], lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.removesuffix("\n"))


def test_messages_as_they_come_until_ctrl_c(network: Mosquitto) -> None:
    capture = [(topic, payload) for topic, payload in messages("hostsensor_boot_and_queries")][:10]
    values = [(topic, payload) for topic, payload in capture if topic.startswith("/values/")]

    with RunningSpy("--topic", "/values/#", port=network.port) as spy, Probe(HOST, network.port) as probe:
        for topic, payload in capture:
            probe.publish(topic, payload)
        lines = spy.wait_out(len(values))
        code = spy.interrupt()

    assert code == 0
    assert lines == [f"{topic} 0 {json.dumps(payload)}" for topic, payload in values]
    assert spy.err == [
        ">>>>>> Subscribe to /values/#",
        f"!!!!!! Connected to 127.0.0.1:{network.port}",
        "!!!!!! Type Ctrl+C to exit !!!!!!",
    ]


def test_everything_by_default(network: Mosquitto) -> None:
    with RunningSpy(port=network.port) as spy, Probe(HOST, network.port) as probe:
        probe.publish("/dhcp/heartbeat/0121/0001", "ONLINE")
        assert spy.wait_out(1) == ["/dhcp/heartbeat/0121/0001 0 ONLINE"]


def test_several_topics(network: Mosquitto) -> None:
    with RunningSpy("--topic=/a", "--topic=/b", port=network.port) as spy, Probe(HOST, network.port) as probe:
        for topic in ("/a", "/c", "/b"):
            probe.publish(topic, "x")
        assert spy.wait_out(2) == ["/a 0 x", "/b 0 x"]


@pytest.mark.parametrize("output", ["txt", "raw"])
def test_control_characters_do_not_reach_the_terminal(network: Mosquitto, output: str) -> None:
    arguments = ("--output", output, "--topic", "/nasty/#")
    with RunningSpy(*arguments, port=network.port) as spy, Probe(HOST, network.port) as probe:
        probe.publish("/nasty/\u202e", b"\x1b[2J\r\n\xff\xe2\x80\xae ok")
        assert spy.wait_out(1) == ["/nasty/\\u202e 0 \\x1b[2J\\r\\n\\xff\\u202e ok"]


def test_json_and_count(network: Mosquitto) -> None:
    with (
        RunningSpy("--output=json", "--count=3", "--topic=/j/#", port=network.port) as spy,
        Probe(HOST, network.port) as probe,
    ):
        probe.publish("/j/1", {"data": 1})
        probe.publish("/j/2", "ONLINE")
        probe.publish("/j/3", b"\xff")
        probe.publish("/j/4", "too late")
        assert spy.process.wait(20) == 0
        lines = [json.loads(line) for line in spy.wait_out(3)]

    assert [(line["topic"], line["payload"], line["qos"], line["retain"]) for line in lines] == [
        ("/j/1", {"data": 1}, 0, False),
        ("/j/2", "ONLINE", 0, False),
        ("/j/3", "\\xff", 0, False),
    ]
    assert datetime.fromisoformat(lines[0]["time"]).tzinfo is not None


def test_retained_messages_are_said_to_be(network: Mosquitto) -> None:
    with Probe(HOST, network.port) as probe:
        probe.publish("/retained", "x", qos=1, retain=True)
        with RunningSpy("--output=json", "--count=1", "--topic=/retained", port=network.port) as spy:
            assert json.loads(spy.wait_out(1)[0])["retain"] is True
        probe.publish("/retained", "", qos=1, retain=True)


def test_the_broker_goes_and_comes_back(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    with RunningSpy("--topic", "/values/#", port=broker.port) as spy:
        broker.stop()
        spy.wait_err("lost")
        broker.start()
        spy.wait_err("Connected again")
        with Probe(HOST, broker.port) as probe:
            # The subscription may still be on its way.
            def heard() -> bool:
                probe.publish("/values/x", "back")
                return bool(spy.out)

            wait_for(heard, 20, "a message", interval=0.1)
        code = spy.interrupt()

    assert code == 0
    assert set(spy.out) == {"/values/x 0 back"}
    assert sum("lost" in line for line in spy.err) == 1


def test_ctrl_c_while_the_broker_is_away(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    with RunningSpy(port=broker.port) as spy:
        broker.stop()
        spy.wait_err("lost")
        assert spy.interrupt() == 0

    assert not any("Traceback" in line for line in spy.err)


def test_a_reader_that_leaves(network: Mosquitto) -> None:
    process = start_program("spy", "--topic", "/head/#", port=network.port)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        notices = [process.stderr.readline() for _ in range(3)]
        with Probe(HOST, network.port) as probe:
            probe.publish("/head/1", "x")
            assert process.stdout.readline() == "/head/1 0 x\n"
            process.stdout.close()
            probe.publish("/head/2", "x")
        assert process.wait(20) == 141
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert "Type Ctrl+C" in notices[2]


def test_no_broker(free_port: int, tool: Tool) -> None:
    outcome = tool("spy", port=free_port)

    assert outcome.code == 1
    assert outcome.err.startswith(f"janitoo spy: no broker at 127.0.0.1:{free_port} (Connection refused)")


def test_a_topic_that_is_none(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("spy", "--topic", "a#b", port=network.port)

    assert outcome.code == 1
    assert outcome.err.endswith("janitoo spy: a#b: that is nothing to subscribe to in MQTT\n")


def test_nothing_to_count(tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        tool("spy", "--count", "0")

    assert "expected 1 message or more" in capsys.readouterr().err


def test_the_process_ends_without_a_terminal(network: Mosquitto) -> None:
    """SIGTERM, as service managers send it, needs no handling."""
    process = start_program("spy", port=network.port, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    while "Ctrl+C" not in process.stderr.readline():
        assert process.poll() is None
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM
    process.stderr.close()

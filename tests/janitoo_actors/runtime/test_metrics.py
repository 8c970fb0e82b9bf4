"""`metrics_port`: the figures of a running server, as Prometheus reads them."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from asked_server import AskedServer
from brokers import BrokerFactory, Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, raises, registry
from janitoo_actors import __version__, log_watching
from janitoo_actors.configuration.extras import install
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.runtime import metrics_http, metrics_port
from janitoo_actors.runtime.figures import Totals
from running_server import RunningServer, running
from tool_runs import ROOT
from waiting import wait_for


class Scrape:
    """What came of one scrape."""

    def __init__(self, port: int, path: str = "/metrics", accept: str = "text/plain") -> None:
        # Without a proxy, whatever the environment says.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
        with opener.open(asked, timeout=TIMEOUT) as answer:
            self.text = answer.read().decode()
        self.families = list(text_string_to_metric_families(self.text))
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def get(self, name: str, **labels: str) -> float | None:
        """One figure; None where there is none with exactly these labels."""
        return self._samples.get((f"janitoo_{name}", frozenset(labels.items())))

    def number(self, name: str, **labels: str) -> float:
        """One figure, which is there."""
        found = self.get(name, **labels)
        assert found is not None, f"{name} {labels} in {self.text}"
        return found


def wait_scrape(port: int, condition: Callable[[Scrape], object], what: str) -> Scrape:
    """Scrape again and again until a condition holds; that scrape."""

    def met() -> Scrape | None:
        scrape = Scrape(port)
        return scrape if condition(scrape) else None

    return wait_for(met, TIMEOUT, what)


def configuration(path: Path, broker: Mosquitto, port: int, **system: Any) -> Configuration:
    """A server with a bus `one`, and its figures at a port."""
    made = Configuration(path, broker, metrics_port=port, service="attic", max_backoff=0.2, **system)
    return made.bus("one", ["sensor", "switch"], temperature_poll_0=0.1)


def has_thread() -> bool:
    """Whether anything listens."""
    return any(thread.name == "metrics" for thread in threading.enumerate())


def test_the_figures_of_a_running_server(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    with running(configuration(tmp_path, broker, free_port).write(), registry()) as server:
        first = Scrape(free_port)
        assert first.get("info", version=__version__, service="attic") == 1
        infos = server.infos()
        of_bus = [info for info in infos if info.path.startswith("/buses/one")]
        assert first.get("actors", bus="one", state="running") == len(of_bus)
        assert first.get("actors", bus="", state="running") == len(infos) - len(of_bus) == 2
        assert first.get("actors", bus="one", state="restarting") == 0
        assert first.get("nodes", bus="one", state="ONLINE") == 3
        assert first.get("nodes", bus="one", state="OFFLINE") == 0
        assert first.get("node_online", bus="one", node="one__sensor", hadd="0701/0001") == 1
        age = first.get("node_heartbeat_age_seconds", bus="one", node="one__sensor")
        assert age is not None
        assert 0 <= age < 300
        assert first.get("mqtt_connected", bus="one") == 1
        assert first.get("mqtt_reconnects_total", bus="one") == 0
        assert (first.get("mqtt_published_messages_total", bus="one") or 0) > 0
        assert first.get("mqtt_queue_messages", bus="one") is not None
        for name in ("dead_letters_total", "zombie_threads", "dispatcher_backlog"):
            assert first.get(name, bus="") == 0
        assert first.get("mailbox_messages", bus="one") is not None
        assert first.get("bus_process_answers", bus="one") is None, "it has no process of its own"
        assert "process_resident_memory_bytes" in first.text
        assert "network" not in first.text, "it has no role there"
        # As Prometheus asks for them today.
        told = Scrape(free_port, accept="application/openmetrics-text; version=1.0.0").text
        # prometheus_client says no types of it.
        strict = list(openmetrics(told))  # type: ignore[no-untyped-call]
        assert {family.name for family in strict} >= {"janitoo_info", "janitoo_reads", "janitoo_mqtt_connected"}

        reads = first.number("reads_total", bus="one", node="one__sensor")
        SCRIPTS["one__sensor"].wait_reads(3)
        second = wait_scrape(
            free_port,
            lambda scrape: scrape.number("reads_total", bus="one", node="one__sensor") >= reads + 3,
            "the reads are counted",
        )
        for name in ("messages_handled_total", "mqtt_published_messages_total"):
            assert second.number(name, bus="one") > first.number(name, bus="one")
        assert second.get("read_failures_total", bus="one", node="one__sensor") == 0
        assert (second.get("read_seconds_max", bus="one", node="one__sensor") or 0) > 0
        assert all(family.documentation for family in second.families)
    assert not has_thread()


def test_the_page_lists_what_there_is(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(janitoo_\w+)` \| ?(.*?) ?\|", page, re.MULTILINE))
    made = configuration(tmp_path, broker, free_port)
    made.bus("far", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.1, order_0=tmp_path / "order")
    path = made.write()
    role = "\n[network]\nis_secondary = True\nhadd = 0002/0000\n"
    path.write_text(path.read_text(encoding="utf-8") + role, encoding="utf-8")
    with running(path, registry()):
        scrape = wait_scrape(free_port, lambda scrape: scrape.get("mqtt_queue_messages", bus="far") is not None, "all")
    served = {
        sample.name: ", ".join(f"`{label}`" for label in sample.labels)
        for family in scrape.families
        for sample in family.samples
        if sample.name.startswith("janitoo_")
    }
    assert {name: set(labels.split(", ")) for name, labels in told.items()} == {
        name: set(labels.split(", ")) for name, labels in served.items()
    }
    # And what is asked of them there.
    rules = page.partition("What to be woken for")[2]
    assert set(re.findall(r"janitoo_\w+", rules)) <= set(told)


def test_no_series_for_each_poller(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    with running(configuration(tmp_path, broker, free_port).write(), registry()):
        scrape = Scrape(free_port)
        labels = {key for family in scrape.families for sample in family.samples for key in sample.labels}
        assert labels == {"bus", "hadd", "node", "service", "state", "version"}
        assert "temperature" not in scrape.text


def test_failures_and_restarts_are_counted_and_never_fall(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    with running(configuration(tmp_path, broker, free_port).write(), registry()) as server:
        label = {"bus": "one", "node": "one__sensor"}
        SCRIPTS["one__sensor"].read = raises(OSError("unplugged"), OSError("unplugged"), then=raises(OSError("no")))
        failed = "read_failures_total"
        before = wait_scrape(free_port, lambda scrape: scrape.number(failed, **label) >= 2, "it fails")
        assert before.get("values_failing", **label) == 1
        server.server.inside.act("restart", "/buses/one/bus")
        server.server.inside.act("restart", "/buses/one/bus")
        after = Scrape(free_port)
        assert after.number("actor_restarts_total", bus="one") >= 2
        totals = [family for family in before.families if family.type == "counter"]
        assert len(totals) >= 8
        for family in totals:
            for sample in family.samples:
                if sample.name.startswith("janitoo_"):
                    now = after.get(sample.name.removeprefix("janitoo_"), **sample.labels)
                    assert now is not None
                    assert now >= sample.value, sample.name
        server.wait_states(server.nodes[1].state, "0701/0001")
        assert Scrape(free_port).get("node_online", **label, hadd="0701/0001") == 0


def test_the_broker_goes_and_comes(private_broker: BrokerFactory, tmp_path: Path, free_port: int) -> None:
    mosquitto = private_broker()
    with running(configuration(tmp_path, mosquitto, free_port).write(), registry()):
        mosquitto.stop()
        wait_scrape(free_port, lambda scrape: scrape.number("mqtt_connected", bus="one") == 0, "it is gone")
        mosquitto.start()
        wait_scrape(free_port, lambda scrape: scrape.number("mqtt_connected", bus="one") == 1, "it is back")
        assert Scrape(free_port).get("mqtt_reconnects_total", bus="one") == 1


def test_what_goes_wrong_is_counted_and_who_hangs_is_seen(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    made = configuration(tmp_path, broker, free_port).bus("two", ["sensor"], temperature_poll_0=300)
    # As the log of a server is set up.
    structlog.configure(processors=[log_watching.note, *structlog.get_config()["processors"]])
    try:
        with running(made.write(), registry()):
            before = Scrape(free_port)
            SCRIPTS["one__sensor"].read = raises(OSError("unplugged"), then=20.0)
            after = wait_scrape(
                free_port,
                lambda scrape: scrape.number("errors_total", bus="one") > before.number("errors_total", bus="one"),
                "it is counted",
            )
            assert after.number("errors_total", bus="two") == before.number("errors_total", bus="two")
            hang = SCRIPTS.hang()
            SCRIPTS["one__sensor"].read = hang
            hang.wait_reached()
            # On a busy machine, the other may be at a message for some time too; it does not stay there.
            wait_scrape(
                free_port,
                lambda scrape: (
                    scrape.number("message_age_seconds_max", bus="one") > 0.2
                    and scrape.number("message_age_seconds_max", bus="two") == 0
                ),
                "it hangs, and the other does not",
            )
    finally:
        structlog.reset_defaults()


def test_a_bus_that_is_removed_has_no_series_any_more(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    path = configuration(tmp_path, broker, free_port).write()
    without = path.read_text(encoding="utf-8")
    made = configuration(tmp_path, broker, free_port).bus("two", ["sensor"], temperature_poll_0=0.1)
    with running(made.write(), registry()) as server:
        assert 'bus="two"' in Scrape(free_port).text
        path.write_text(without, encoding="utf-8")
        server.server.reload("a test")
        gone = Scrape(free_port)
        assert 'bus="two"' not in gone.text
        assert gone.get("mqtt_connected", bus="one") == 1


def test_a_bus_that_waits_for_an_address(private_broker: BrokerFactory, tmp_path: Path, free_port: int) -> None:
    path = configuration(tmp_path, private_broker(), free_port).write()
    waits = "[far]\noid = faulty\nauto_start = True\ncomponents.sensor = faulty.sensor\n"
    path.write_text(path.read_text(encoding="utf-8") + waits, encoding="utf-8")
    server = RunningServer(path, registry())
    try:
        scrape = Scrape(free_port)
        assert scrape.get("bus_waits_for_address", bus="far") == 1
        assert scrape.get("bus_waits_for_address", bus="one") == 0
    finally:
        server.stop()


def test_the_network(private_broker: BrokerFactory, tmp_path: Path, free_port: int) -> None:
    path = configuration(tmp_path, private_broker(), free_port, home_dir=tmp_path).write()
    role = "\n[network]\nis_primary = True\nhadd = 0001/0000\n"
    path.write_text(path.read_text(encoding="utf-8") + role, encoding="utf-8")
    with running(path, registry()) as server:
        scrape = wait_scrape(
            free_port,
            lambda scrape: scrape.get("network_map_complete") and scrape.number("network_nodes", state="ONLINE") >= 3,
            "its map",
        )
        assert (scrape.get("network_primary"), scrape.get("network_failed")) == (1, 0)
        assert scrape.number("network_controllers") >= 1
        assert scrape.get("mqtt_connected", bus="network") == 1
        assert scrape.number("mqtt_published_messages_total", bus="network") > 0
        assert scrape.get("mqtt_queue_messages", bus="network") is not None
        # What somebody else says of a node is no series of its own.
        assert server.server.network is not None
        list(server.server.network.map.set_state(Hadd.parse("0701/0001"), "ODD"))
        odd = Scrape(free_port)
        assert odd.get("network_nodes", state="other") == 1
        assert "ODD" not in odd.text


def test_a_bus_in_a_process_of_its_own(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    made = configuration(tmp_path, broker, free_port)
    made.bus("far", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.1, order_0=tmp_path / "order")
    with running(made.write(), registry()) as server:
        label = {"bus": "far", "node": "far__remote"}
        first = wait_scrape(free_port, lambda scrape: scrape.get("reads_total", **label), "its reads are told")
        assert first.get("bus_process_answers", bus="far") == 1
        assert (first.get("bus_process_resident_memory_bytes", bus="far") or 0) > 1e6
        assert first.get("zombie_threads", bus="far") == 0
        assert first.get("mqtt_connected", bus="far") == 1
        # One that hangs is told; all else is there.
        pid = next(info.pid for info in server.infos() if info.path == "/buses/far")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            hung = Scrape(free_port)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert hung.get("bus_process_answers", bus="far") == 0
        assert hung.get("mqtt_queue_messages", bus="far") is None
        assert hung.get("mqtt_connected", bus="one") == 1
        # And what was counted is not counted again when it answers.
        back = wait_scrape(free_port, lambda scrape: scrape.get("bus_process_answers", bus="far"), "it answers")
        remote = server.server.boards[1].remote
        assert remote is not None
        polls = remote.ask("polls", timeout=TIMEOUT)
        assert back.number("reads_total", **label) <= polls["0702/0001/temperature"]["reads"]

        before = Scrape(free_port)
        os.kill(pid, signal.SIGKILL)
        restarts = before.number("actor_restarts_total", bus="far")
        after = wait_scrape(
            free_port,
            lambda scrape: (
                scrape.get("bus_process_answers", bus="far")
                and scrape.number("actor_restarts_total", bus="far") > restarts
            ),
            "it is another one",
        )
        assert after.number("reads_total", **label) >= before.number("reads_total", **label)


def test_a_port_that_is_taken_is_told_and_the_server_runs(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)) as taken:
        with structlog.testing.capture_logs() as logged:
            server = AskedServer(configuration(tmp_path, broker, free_port).write(), registry())
        try:
            (event,) = (each for each in logged if each["event"] == "metrics_unavailable")
            assert event["port"] == free_port
            assert "in use" in event["error"]
            assert "metrics_port" in event["hint"]
            server.wait_online()
            (reason,) = (each for each in server.ask("health")["reasons"] if "metrics_port" in each["text"])
            assert "in use" in reason["text"]
            # A reload tries again.
            server.server.reload("a test")
            assert server.server.metrics.port == 0
            taken.close()
            server.server.reload("a test")
            assert Scrape(free_port).get("nodes", bus="one", state="ONLINE") == 3
            wait_for(lambda: server.ask("health")["reasons"] == [], TIMEOUT, lambda: f"{server.ask('health')}")
        finally:
            server.stop()


def test_a_port_that_is_taken_is_tried_again(
    broker: Mosquitto, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_port, "RETRY", 0.05)
    with structlog.testing.capture_logs() as logged:
        with socket.create_server(("127.0.0.1", free_port)):
            server = RunningServer(configuration(tmp_path, broker, free_port).write(), registry())
            wait_for(lambda: sum(map(is_failure, logged)) >= 2, TIMEOUT, "it is tried again and again")
        try:
            wait_for(lambda: server.server.metrics.port == free_port, TIMEOUT, "it is had")
            assert Scrape(free_port).get("mqtt_connected", bus="one") is not None
            # Told once, and then by the number of tries.
            assert [each.get("times") for each in logged if is_failure(each)][:2] == [None, 10]
        finally:
            server.stop()
        assert not has_thread()


def is_failure(event: Any) -> bool:
    """Whether a port could not be had."""
    return bool(event["event"] == "metrics_unavailable")


def test_a_port_that_nobody_wants_any_more_is_not_tried_again(
    broker: Mosquitto, tmp_path: Path, free_port: int
) -> None:
    path = configuration(tmp_path, broker, free_port).write()
    with socket.create_server(("127.0.0.1", free_port)) as taken, running(path, registry()) as server:
        path.write_text(path.read_text(encoding="utf-8").replace(f"metrics_port = {free_port}\n", ""), encoding="utf-8")
        server.server.reload("a test")
        taken.close()
        # As a timer that fires while the reload goes on.
        server.server.metrics._retried()
        assert server.server.metrics.port == 0


def test_a_reload_turns_it_on_moves_it_and_turns_it_off(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    path = configuration(tmp_path, broker, 0).write()
    with socket.create_server(("127.0.0.1", 0)) as another:
        other_port = another.getsockname()[1]
    with running(path, registry()) as server:
        assert not has_thread(), "it is off where nobody wants it"
        before = server.incarnations()
        for port, gone in ((free_port, None), (other_port, free_port), (0, other_port)):
            text = path.read_text(encoding="utf-8")
            old = next(line for line in text.splitlines() if line.startswith("metrics_port"))
            path.write_text(text.replace(old, f"metrics_port = {port}"), encoding="utf-8")
            done = server.server.reload("a test")
            assert done is not None
            assert [change.key for change in done.plan.system] == ["metrics_port"]
            if port:
                assert Scrape(port).get("mqtt_connected", bus="one") == 1
            if gone is not None:
                with pytest.raises(urllib.error.URLError):
                    Scrape(gone)
        wait_for(lambda: not has_thread(), TIMEOUT, "its thread ends")
        assert server.incarnations() == before, "nothing was restarted for it"


def test_without_the_library(
    broker: Mosquitto, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "janitoo_actors.runtime.metrics_http")
    with structlog.testing.capture_logs() as logged:
        server = RunningServer(configuration(tmp_path, broker, free_port).write(), registry())
    try:
        (event,) = (each for each in logged if each["event"] == "metrics_unavailable")
        assert event["error"] == (f"prometheus_client is not installed; install it with: {install('metrics')}")
        server.wait_online()
    finally:
        server.stop()


def test_strange_clients_keep_nobody_from_the_figures(
    broker: Mosquitto, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_http._Handler, "timeout", 0.2)
    with running(configuration(tmp_path, broker, free_port).write(), registry()):
        address = ("127.0.0.1", free_port)
        silent = socket.create_connection(address)
        with socket.create_connection(address) as half:
            half.sendall(b"GET /metrics HT")
        with socket.create_connection(address) as garbage:
            garbage.sendall(b"\x00\xff" * 1000 + b"\r\n\r\n")
        with socket.create_connection(address) as gone:
            gone.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        with silent, pytest.raises(urllib.error.HTTPError, match="404"):
            Scrape(free_port, "/etc/passwd")
        assert Scrape(free_port).get("mqtt_connected", bus="one") == 1
        assert Scrape(free_port, "/").get("mqtt_connected", bus="one") == 1


def test_clients_that_never_come_to_an_end_keep_nobody_from_the_figures(
    broker: Mosquitto, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(configuration(tmp_path, broker, free_port).write(), registry()), ExitStack() as stack:
        many = [stack.enter_context(socket.create_connection(("127.0.0.1", free_port))) for _ in range(30)]
        for each in many:
            with suppress(OSError):
                each.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        # It sends a letter again and again, and so is never silent.
        assert Scrape(free_port).get("mqtt_connected", bus="one") == 1
        assert clients() <= metrics_http.MOST_CLIENTS
        for each in many:
            each.close()
        wait_for(lambda: clients() == 0, TIMEOUT, "their threads end")

        monkeypatch.setattr(metrics_http, "CLIENT_TIMEOUT", 0.3)
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", free_port)))
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")

        def is_left() -> bool:
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            return False

        wait_for(is_left, TIMEOUT, "it is left")
        wait_for(lambda: clients() == 0, TIMEOUT, "its thread ends")


def clients() -> int:
    """How many clients have a thread."""
    return sum(thread.name == "metrics client" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", b" 405 "),
        (b"DELETE /metrics HTTP/1.1\r\n\r\n", b" 405 "),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b" 414 "),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b" 431 "),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b""),
    ],
)
def test_what_is_no_scrape_is_refused(
    broker: Mosquitto, tmp_path: Path, free_port: int, sent: bytes, told: bytes
) -> None:
    with running(configuration(tmp_path, broker, free_port).write(), registry()):
        with socket.create_connection(("127.0.0.1", free_port), timeout=TIMEOUT) as client:
            with suppress(OSError):
                client.sendall(sent)
            got = b""
            with suppress(ConnectionResetError):
                while chunk := client.recv(65536):
                    got += chunk
        assert told in got.partition(b"\r\n")[0], got[:200]
        assert b"janitoo_" not in got
        assert Scrape(free_port).get("mqtt_connected", bus="one") == 1


def test_a_bug_in_a_figure_is_logged_and_over_with_it(
    broker: Mosquitto, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(configuration(tmp_path, broker, free_port).write(), registry()) as server:
        with monkeypatch.context() as broken, structlog.testing.capture_logs() as logged:
            broken.setattr(server.server, "snapshot", lambda: 1 / 0)
            for _ in range(2):
                with pytest.raises(urllib.error.HTTPError, match="500"):
                    Scrape(free_port)
        assert [each["event"] for each in logged if each["event"].startswith("metrics")] == ["metrics_failed"]
        assert Scrape(free_port).get("mqtt_connected", bus="one") == 1


def test_it_listens_on_the_loopback_only(broker: Mosquitto, tmp_path: Path, free_port: int) -> None:
    path = configuration(tmp_path, broker, free_port).write()
    with running(path, registry()), socket.socket() as other:
        # This is the machine too, and would answer if it listened everywhere.
        assert other.connect_ex(("127.0.0.2", free_port)) == errno.ECONNREFUSED


@given(st.lists(st.lists(st.integers(min_value=0, max_value=50), min_size=1), min_size=1, max_size=6))
def test_a_total_counts_each_life_once(lives: list[list[int]]) -> None:
    totals = Totals()
    for life, increments in enumerate(lives):
        now = 0
        for each in increments:
            now += each
            totals.add("handled", ("one",), "poller", now, life)
            totals.keep({"one"})
    assert totals.of("handled") == {("one",): sum(map(sum, lives))}
    totals.keep(set())
    assert totals.of("handled") == {}


def test_a_counter_that_has_fallen_has_begun_again() -> None:
    totals = Totals()
    for now in (5, 7, 3, 3, 4):
        totals.add("reads", ("one",), "poller", now)
    assert totals.of("reads") == {("one",): 7 + 4}

"""A changed file is applied to a running server: each change to just what it touches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from structlog.testing import capture_logs

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, raises, registry
from janitoo_actors.configuration.loader import load
from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.reload import Reloaded, ReloadRefusedError
from janitoo_actors.runtime.values import Role
from mqtt_probe import Message
from random_configurations import configurations
from resilience import events, wait_value
from running_server import Requester, RunningServer, running, system_section, wait_heartbeats
from supervisors import living
from waiting import wait_for

ISOLATIONS = pytest.mark.parametrize("isolation", ["thread", "process"])
PERIOD = 0.5
"""Seconds between two polls."""


def change(server: RunningServer, *replacements: tuple[str, str]) -> Reloaded:
    """Edit the file, and have it taken over."""
    edit(server, *replacements)
    done = server.server.reload("the test")
    assert done is not None
    return done


def edit(server: RunningServer, *replacements: tuple[str, str]) -> None:
    text = server.text
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    server.path.write_text(text, encoding="utf-8")


def epochs(server: RunningServer, section: str) -> dict[str, tuple[int | None, int]]:
    """Which incarnation of each actor of a bus runs; of a process, which process: it tells of its actors later."""
    found = server.incarnations(section)
    apart = {info.path for info in server.infos() if info.isolation == "process"}
    return {path: each for path, each in found.items() if not any(path.startswith(f"{it}/") for it in apart)}


def two_buses(tmp_path: Path, broker: Mosquitto, isolation: str = "thread", **options: Any) -> Configuration:
    made = Configuration(tmp_path, broker)
    made.bus("one", ["remote", "other=pinned"], own={"isolation": isolation, "name": "First"}, **options)
    return made.bus("two", ["sensor"], temperature_poll_0=PERIOD)


@ISOLATIONS
def test_what_changes_in_place(isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(two_buses(tmp_path, broker, isolation).write(), registry()) as server:
        before = epochs(server, "one")
        since = len(air.probe.messages)
        done = change(
            server,
            ("name = First", "name = Renamed\nlocation = Attic"),
            ("hadd = 0701/0001\nheartbeat = 300", "hadd = 0701/0001\nheartbeat = 0.2\ntemperature_poll_0 = 0.2"),
        )
        assert [each.bus.section for each in done.plan.tuned] == ["one"]
        assert not done.outcomes

        # On the air, from whoever answers for it: the value, the heartbeat, and everybody's lists.
        def told(uuid: str, data: object) -> Callable[[Message], bool]:
            return lambda message: (
                message.topic.startswith("/values/") and message.topic.endswith(uuid) and message.value["data"] == data
            )

        air.probe.wait_message(told("0701/0000/name", "Renamed"), TIMEOUT, since=since)
        for _ in range(3):
            since = len(air.probe.messages)
            wait_value(air, 20.0, since=since)
            wait_heartbeats(air.probe, ["0701/0001"], NodeState.ONLINE, since=since)
        nodes = air.discover("nodes", "0701/0000")
        assert (nodes["one"]["name"], nodes["one"]["location"]) == ("Renamed", "Attic")
        # One that has no location of its own has that of its bus.
        assert nodes["one__other"]["location"] == "Attic"
        assert nodes["one__remote"]["heartbeat"] == 0.2
        assert air.read("0701/0001", "temperature_poll", Genre.CONFIG)["data"] == 0.2
        # It went on.
        assert epochs(server, "one") == before
        board = server.server.boards[0]
        wait_for(lambda: board.nodes[server.nodes[0].hadd].describe()["name"] == "Renamed", TIMEOUT, "our board")

        # It stands for what is started later, too.
        assert change(server, ("temperature_poll_0 = 0.2", "temperature_poll_0 = 0")).plan.tuned
        kill_bus(server, "one")

        def is_another() -> bool:
            now = epochs(server, "one")
            # While a process is away, others answer for it, and nobody from its start until it is on the air.
            return now != before and board.on_air and (isolation == "thread" or now["/buses/one"][0] is not None)

        wait_for(is_another, TIMEOUT, "it has been restarted")
        server.wait_online()
        assert air.discover("nodes", "0701/0000")["one"]["name"] == "Renamed"
        assert air.read("0701/0001", "temperature_poll", Genre.CONFIG)["data"] == 0


def kill_bus(server: RunningServer, section: str) -> None:
    """End a bus as a bug or a crash does."""
    (info,) = (each for each in server.infos() if each.path == f"/buses/{section}")
    if info.pid is not None and info.isolation == "process":
        os.kill(info.pid, 9)
        return
    ref = server.server.system.lookup(f"/buses/{section}/bus")
    assert ref is not None
    actor = living(ref)
    assert actor is not None
    actor.kill("the test")


def test_what_a_driver_takes_while_it_runs(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["pair", "settable"]).write()
    with running(path, registry()) as server:
        before = epochs(server, "one")
        seen: list[str] = []
        scripts["one__pair"].read = lambda instance: seen.append(instance.text)
        scripts["one__settable"].write = lambda _instance, data: seen.append(f"mode {data}")
        change(
            server,
            ("[one__pair]", "[one__pair]\nlevel_config_0 = top\nlevel_config_1 = right"),
            ("[one__settable]", "[one__settable]\nmode_0 = fast"),
        )
        wait_for(lambda: {"mode fast", "top", "right"} <= set(seen), TIMEOUT, lambda: f"it is told: {seen}")
        assert air.discover("configs", "0701/0000")["0701/0001"]["level_config"]["0"]["data"] == "top"
        assert epochs(server, "one") == before
        # A driver that does not take it is made anew with it, as at a start.
        scripts["one__settable"].write = raises(TemporaryError("not now"))
        change(server, ("mode_0 = fast", "mode_0 = odd"))
        wait_for(lambda: epochs(server, "one")["/buses/one/bus"] != before["/buses/one/bus"], TIMEOUT, "a new bus")
        server.wait_online()
        assert air.read("0701/0002", "mode", Genre.CONFIG)["data"] == "odd"


@ISOLATIONS
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[one__other]", "[one__other]\npin_0 = 5"),
        ("components.other = faulty.pinned\n", ""),
        ("components.other = faulty.pinned\n", "components.other = faulty.pinned\ncomponents.third = faulty.remote\n"),
        ("hadd = 0701/0002", "hadd = 0701/0009"),
    ],
    ids=["setting", "less", "more", "address"],
)
def test_what_restarts_its_bus_alone(
    *, isolation: str, old: str, new: str, broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    with running(two_buses(tmp_path, broker, isolation).write(), registry()) as server:
        other, one = epochs(server, "two"), epochs(server, "one")
        since = len(air.probe.messages)
        done = change(server, (old, new))
        assert [each.section for each in done.outcomes] == ["one"]
        assert done.outcomes[0].online == done.outcomes[0].nodes
        wait_heartbeats(air.probe, ["0701/0000", "0701/0001", "0701/0002"], NodeState.OFFLINE, since=since)
        server.wait_online()
        assert epochs(server, "two") == other
        assert not set(epochs(server, "one").values()) & set(one.values()), "all of it is new"
        expected = {"one", "one__remote", "one__other", "one__third"}
        expected -= {"one__other"} if not new else set()
        expected -= {"one__third"} if "third" not in new else set()
        nodes = air.discover("nodes", "0701/0000")
        assert set(nodes) == expected
        if "0009" in new:
            assert nodes["one__other"]["hadd"] == "0701/0009"
        if "pin_0" in new:
            assert air.read("0701/0002", "used", Genre.BASIC, 49)["data"] == 5
        silent = [message for message in air.probe.messages[since:] if message.topic == "/dhcp/heartbeat/"]
        assert silent == [], "they said it themselves, and no will had to"


@ISOLATIONS
def test_buses_come_and_go(isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    path = two_buses(tmp_path, broker, isolation).write()
    both = path.read_text(encoding="utf-8")
    without = both[: both.index("[one]")] + both[both.index("[two]") :]
    path.write_text(without, encoding="utf-8")
    with running(path, registry()) as server:
        other = epochs(server, "two")
        for _ in range(2):
            since = len(air.probe.messages)
            path.write_text(both, encoding="utf-8")
            done = server.server.reload("the test")
            assert done is not None
            assert [bus.section for bus in done.plan.added] == ["one"]
            assert str(done.outcomes[0]) == "[one] 3 of 3 nodes are online"
            wait_heartbeats(air.probe, ["0701/0000", "0701/0001"], NodeState.ONLINE, since=since)
            assert air.discover("nodes", "0701/0000")
            since = len(air.probe.messages)
            path.write_text(without, encoding="utf-8")
            done = server.server.reload("the test")
            assert done is not None
            assert [bus.section for bus in done.plan.removed] == ["one"]
            wait_heartbeats(air.probe, ["0701/0000", "0701/0001", "0701/0002"], NodeState.OFFLINE, since=since)
            assert epochs(server, "one") == {}
            assert [board.section for board in server.server.boards] == ["two"]
        assert epochs(server, "two") == other


def next_poll(server: RunningServer) -> float:
    """When the poller of the bus `two` polls next."""
    ref = server.server.system.lookup("/buses/two/pollers/0702/0001/temperature")
    actor = None if ref is None else living(ref)
    assert actor is not None

    def due() -> float | None:
        # A poll is under way where it has none.
        return actor.timers.due("tick")

    return wait_for(due, TIMEOUT, "it has a time")


def test_no_poll_is_missed(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    reads: list[float] = []
    script = scripts["two__sensor"]

    def count(_instance: Any) -> int:
        reads.append(threading.get_ident())
        return len(reads)

    def readings() -> list[int]:
        found = [each for each in air.probe.messages if each.topic == "/values/basic/0702/0001/temperature"]
        return [each.value["data"] for each in found]

    script.read = count
    with running(two_buses(tmp_path, broker).write(), registry()) as server:
        # Of what it read before it was connected, the last is said.
        wait_for(readings, TIMEOUT, "it is on the air")
        script.wait_reads(2)
        before, due = epochs(server, "two"), next_poll(server)
        change(server, ("[one__other]", "[one__other]\nlocation = 0"))
        for number in range(6):
            change(server, (f"location = {number}", f"location = {number + 1}"))
            change(server, ("components.other = faulty.pinned\n", ""))
            change(server, ("components.remote", "components.other = faulty.pinned\ncomponents.remote"))
            with pytest.raises(ReloadRefusedError):
                change(server, ("hadd = 0701/0002", "hadd = 0701/000x"))
            edit(server, ("hadd = 0701/000x", "hadd = 0701/0002"))
        script.wait_reads(2)
        assert epochs(server, "two") == before
        assert script.opened == 1
        # On the schedule of before: begun anew, it would be off by a part of a period, but by a chance in a million.
        periods = (next_poll(server) - due) / PERIOD
        assert periods == pytest.approx(round(periods), abs=1e-6)

    wait_for(lambda: len(reads) in readings(), TIMEOUT, "the last reading has come")
    assert sorted(set(readings())) == list(range(readings()[0], len(reads) + 1))
    said = {each.payload for each in air.probe.messages if each.topic == "/dhcp/heartbeat/0702/0001"}
    assert NodeState.ONLINE.encode() in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hadd = 0701/0000", "hadd = 0702/0000", "[one] has this address already"),
        ("faulty.remote", "faulty.remot", "did you mean 'faulty.remote'?"),
        ("temperature_poll_0 = 0.5", "temperature_poll_0 = often", "expected a number of seconds"),
        ("service = test", "max_backoff = 0", "expected a number of seconds, more than 0"),
        ("[two__sensor]", "[two__sensor", "expected"),
        ("auto_start = True", "auto_start = perhaps", "expected True or False"),
    ],
)
def test_a_file_with_mistakes_changes_nothing(
    *, old: str, new: str, said: str, broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    with running(two_buses(tmp_path, broker).write(), registry()) as server:
        before = epochs(server, "")
        edit(server, ("name = First", "name = Second"), (old, new))
        with capture_logs() as log, pytest.raises(ReloadRefusedError) as refused:
            server.server.reload("the test")
        assert any(said in problem for problem in refused.value.problems)
        assert [event["problem"] for event in events(log, "configuration_wrong")] == list(refused.value.problems)
        assert len(events(log, "reload_refused")) == 1
        assert epochs(server, "") == before
        assert air.discover("nodes", "0701/0000")["one"]["name"] == "First"
        # All that is wrong is said, and mending it is enough.
        change(server, (new, old))
        assert air.discover("nodes", "0701/0000")["one"]["name"] == "Second"


@pytest.mark.parametrize("make", [Path.unlink, lambda path: path.write_text("", encoding="utf-8")])
def test_a_file_that_is_away_or_empty(make: Callable[[Path], Any], broker: Mosquitto, tmp_path: Path) -> None:
    with running(two_buses(tmp_path, broker).write(), registry(), online=False) as server:
        make(server.path)
        with pytest.raises(ReloadRefusedError):
            server.server.reload("the test")
        with pytest.raises(ReloadRefusedError):
            server.server.plan()
        assert server.server.reason is None


@pytest.mark.parametrize("fault", ["back-off", "hang", "hang in open"])
def test_a_bus_in_trouble_is_changed_too(
    fault: str, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, read_timeout=60).bus("one", ["sensor"], temperature_poll_0=0.1).write()
    script = scripts["one__sensor"]
    hang = scripts.hang()
    if fault == "back-off":
        script.open = raises(TemporaryError("it is unplugged"))
    elif fault == "hang":
        script.read = hang
    else:
        script.open = hang
    with running(path, registry(), online=False) as server:
        if fault == "back-off":
            server.wait_states(NodeState.OFFLINE)
        else:
            hang.wait_reached()
        wait_for(lambda: server.server.boards[0].on_air, TIMEOUT, "it is on the air")
        # In place: it is in force, though nobody is there to be told.
        change(server, ("oid = faulty", "oid = faulty\nname = Renamed\nlocation = Attic"))
        assert air.discover("nodes", "0701/0000")["one"]["name"] == "Renamed"
        # And with a restart.
        script.open = script.close
        script.read = lambda _instance: 1.0
        done = change(server, ("hadd = 0701/0001", "hadd = 0701/0005"))
        assert str(done.outcomes[0]) == "[one] 2 of 2 nodes are online"
        wait_value(air, 1.0, hadd="0701/0005")
        assert air.discover("nodes", "0701/0000")["one"]["location"] == "Attic"


def test_a_process_whose_open_hangs(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    own = {"isolation": "process"}
    path = (
        Configuration(tmp_path, broker, read_timeout=60).bus("one", ["by_option"], own=own, fault_open_0="hang").write()
    )
    with running(path, registry(), online=False) as server:
        wait_for(lambda: server.server.boards[0].on_air, TIMEOUT, "it is on the air")
        change(server, ("oid = faulty", "oid = faulty\nname = Renamed"))
        wait_for(lambda: air.discover("nodes", "0701/0000")["one"]["name"] == "Renamed", TIMEOUT, "its new name")
        done = change(server, ("fault_open_0 = hang", "fault_open_0 ="), ("hadd = 0701/0001", "hadd = 0701/0005"))
        assert str(done.outcomes[0]) == "[one] 2 of 2 nodes are online"


def test_a_new_bus_that_fails_is_tried_again(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.2).bus("one").write()
    with running(path, registry()) as server:
        scripts["new"].open = raises(TemporaryError("it is unplugged"))
        server.path.write_text(
            server.text + "\n[new]\noid = faulty\nhadd = 0790/0000\ncomponents.sensor = faulty.sensor\n",
            encoding="utf-8",
        )
        done = server.server.reload("the test")
        assert done is not None
        assert str(done.outcomes[0]).startswith("[new] 0 of 2 nodes are online: ")
        assert "it is unplugged" in done.outcomes[0].reason
        scripts["new"].open = lambda: None
        server.wait_online()


def test_two_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    with running(two_buses(tmp_path, broker).write(), registry()) as server:
        edit(server, ("hadd = 0701/0002", "hadd = 0701/0009"), ("name = First", "name = Second"))
        results: list[Reloaded | None] = []

        def reload() -> None:
            results.append(server.server.reload("the test"))

        threads = [threading.Thread(target=reload) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        # One after the other: the first has done it all.
        assert sorted(len(each.plan.restarted) for each in results if each is not None) == [0, 0, 0, 1]
        server.wait_online()
        assert "0701/0009" in server.states()


def test_a_stop_in_the_middle(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = two_buses(tmp_path, broker).write()
    hang = scripts.hang()
    scripts["one"].close = hang
    with running(path, registry()) as server:
        edit(server, ("hadd = 0701/0002", "hadd = 0701/0009"))
        failed: list[BaseException] = []

        def reload() -> None:
            try:
                server.server.reload("the test")
            except TemporaryError as error:
                failed.append(error)

        thread = threading.Thread(target=reload)
        thread.start()
        hang.wait_reached()
        server.stop()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    assert path.read_text(encoding="utf-8").count("hadd") == 5


def test_another_broker(broker: Mosquitto, private_broker: Any, air: Requester, tmp_path: Path) -> None:
    other = private_broker()
    with running(two_buses(tmp_path, broker).write(), registry()) as server:
        done = change(server, (f"broker_port = {broker.port}", f"broker_port = {other.port}"))
        assert {each.bus.section for each in done.plan.restarted} == {"one", "two"}
        wait_heartbeats(air.probe, ["0701/0000", "0702/0001"], NodeState.OFFLINE)
        # `wait_connected` asks there.
        server.wait_connected()
        server.wait_online()


def test_addresses_are_swapped(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(two_buses(tmp_path, broker).write(), registry()) as server:
        swapped = server.text.replace("0701/", "0709/").replace("0702/", "0701/").replace("0709/", "0702/")
        server.path.write_text(swapped, encoding="utf-8")
        server.server.reload("the test")
        server.wait_online()
        assert set(air.discover("nodes", "0701/0000")) == {"two", "two__sensor"}


# -- against a fresh start -------------------------------------------------------------------------------------------


def seen(boards: list[Board]) -> dict[str, Any]:
    """What the network sees of a server, without what is read and without states."""
    roles = {Role.DRIVER}
    return {
        str(node.hadd): (
            {key: item for key, item in node.describe().items() if key != "state"},
            {uuid: value.data for uuid, value in node.values.items() if value.role not in roles},
            {uuid: (value.poll_delay, value.configs, len(value.data)) for uuid, value in node.values.items()},
            node.device_class,
        )
        for board in boards
        for node in board.nodes.values()
    }


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    texts=configurations("", isolations=("thread",)).flatmap(
        lambda first: configurations("", isolations=("thread", "thread", "process")).map(lambda second: (first, second))
    )
)
def test_a_reload_is_as_good_as_a_start(texts: tuple[str, str], broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    first, second = (system_section(broker) + text for text in texts)
    path.write_text(first, encoding="utf-8")
    with running(path, registry(), online=False) as server:
        for text in (second, first, second):
            path.write_text(text, encoding="utf-8")
            server.server.reload("the test")
            config = load(path, registry())
            assert seen(list(server.server.boards)) == seen([Board(bus) for bus in config.buses])
        assert server.server.plan().is_empty
        reloaded = settled_paths(server)
    with running(path, registry(), online=False) as fresh:
        assert settled_paths(fresh) == reloaded


def settled_paths(server: RunningServer) -> set[str]:
    """The paths of all actors, when all buses are up."""

    def up() -> set[str] | None:
        infos = server.infos()
        paths = {info.path for info in infos}
        wanted = {f"/buses/{board.section}/nodes/{hadd}" for board in server.server.boards for hadd in board.nodes} | {
            f"/buses/{board.section}/pollers" for board in server.server.boards
        }
        return paths if server.server.settled() and wanted <= paths else None

    return wait_for(up, TIMEOUT, lambda: f"all is up: {server.states()}")

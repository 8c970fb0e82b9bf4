"""Those who live in the house: each does its own again and again, on a thread of its own, until it is told to rest.

What fails because the broker, a bus or a connection is away just now is no fault: others of them see to that.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from brokers import Mosquitto
from janitoo_actors.control.client import NoServerError, NotServedError, connect
from janitoo_actors.control.wire import ErrorCode
from janitoo_actors.protocol.codes import Genre
from mqtt_probe import Probe
from running_server import Requester, on_topic
from soak.house import FAULTS, GUESTS, SPARED, House
from soak.looking import ASK, Tally, Watched
from tool_runs import start_program

LISTS: Final = ("nodes", "users", "configs", "systems", "basics", "commands")
LOOKS: Final = (
    *("tree", "status", "health", "errors", "events", "values", "mqtt", "network", "machine", "threads", "ping"),
    *("overview", "config", "check", "diff", "poll", "restart", "suspend"),
)
_AWAY: Final = (AssertionError, OSError, NoServerError, NotServedError, RuntimeError)
"""What a request may end in while others do what they do: no answer in time, no connection, a refusal."""
_ANSWER: Final = 3.0
"""Seconds that one waits for an answer."""
_WRITTEN: Final = ("location", "name")


class Home:
    """All of them, and what they work on.

    Attributes:
        did: how often each thing was done.
        wrong: what must never be.
        away: the last thing that went wrong and may, by what was done.
    """

    def __init__(self, broker: Mosquitto, house: House, server: Watched, annex: Watched, seed: int) -> None:
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.away: dict[str, str] = {}
        self.tally = Tally(house.metrics_port)
        self._broker, self._house, self._server, self._annex = broker, house, server, annex
        self._chance = random.Random(seed)
        self._changing = [each for each in house.buses if each.section not in SPARED]
        self._rest = threading.Event()
        # Whoever edits the file takes over what was written to it before: one of them at a time.
        self._file = threading.Lock()
        self._left: list[socket.socket] = []

    def live(self, seconds: float) -> None:
        """Have all of them live for so long. Blocks until they rest."""
        self._rest.clear()
        doing: list[tuple[Callable[[], None], float]] = [
            (self._read_and_write, 0.05),
            (self._configure, 0.3),
            (self._storm, 0.5),
            (self._edit, 1.5),
            (self._hang_up, 4.0),
            (self._break_broker, 6.0),
            (self._kill_process, 2.0),
            (self._look, 0.3),
            (self._leave_console, 5.0),
            (self._scrape, 1.0),
            (self._scrape_slowly, 0.5),
        ]
        threads = [threading.Thread(target=self._again, args=each, name=each[0].__name__) for each in doing]
        for each in threads:
            each.start()
        # No synchronisation: for so long they live.
        self._rest.wait(seconds)
        self._rest.set()
        for each in threads:
            each.join()
        self._forget_left()

    def tidy(self) -> None:
        """Put the file in order, without faults, and have it taken over."""
        with self._file:
            self._house.tidy()
            self._save()
            self._server.ask("reload")
        self.did["reloads"] += 1

    def _again(self, do: Callable[[], None], pause: float) -> None:
        while not self._rest.wait(self._chance.uniform(0.5, 1.5) * pause):
            try:
                do()
            except _AWAY as error:
                if isinstance(error, NotServedError) and error.code == ErrorCode.FAILED:
                    self.wrong.append(f"{do.__name__}: {error}")
                self.away[do.__name__] = f"{type(error).__name__}: {error}"[:300]
                self.did[f"not done: {do.__name__.strip('_')}"] += 1
            except Exception:  # noqa: BLE001 - the test fails with it, and not this thread alone
                # Whatever else it is, it is a fault: of the server's, or of those who live here.
                self.wrong.append(f"{do.__name__}: {traceback.format_exc()}")
                return

    # -- over the air ------------------------------------------------------------------------------------------------

    def _requester(self) -> tuple[Probe, Requester]:
        probe = Probe(self._broker.host, self._broker.port)
        return probe, Requester(probe, f"99{self._chance.randrange(10, 99)}/0001")

    def _read_and_write(self) -> None:
        probe, somebody = self._requester()
        with probe:
            for _ in range(20):
                if self._rest.is_set():
                    return
                bus = self._chance.choice(self._house.buses)
                hadd = self._chance.choice(bus.hadds())
                self._ask(somebody, somebody.request(hadd, self._chance.choice(_WRITTEN), Genre.CONFIG, 112))
                self.did["reads over the air"] += 1
                led = somebody.request("0225/0004", "state", Genre.USER, 37, data=self._chance.choice(["on", "off"]))
                probe.publish("/nodes/0225/0004/request", {**led, "is_writeonly": True, "is_readonly": False})
                probe.publish(f"/nodes/{hadd}/request", self._chance.choice(["{", "[]", '{"uuid": 1}', "\xff"]))
                self.did["writes over the air"] += 1

    @staticmethod
    def _ask(somebody: Requester, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to a request; who has waited for long enough does something else."""
        since = len(somebody.probe.messages)
        somebody.probe.publish(f"/nodes/{request['hadd']}/request", dict(request))
        answered = on_topic(somebody.answer_topic(request))
        answer: Mapping[str, Any] = somebody.probe.wait_message(answered, _ANSWER, since=since).value
        return answer

    def _configure(self) -> None:
        bus = self._chance.choice(self._house.buses)
        number = self._chance.randrange(len(bus.hadds()))
        section = bus.section if number == 0 else f"{bus.section}__{list(bus.components)[number - 1]}"
        uuid, text = self._chance.choice(_WRITTEN), f"Room {self._chance.randrange(10_000)}"
        probe, somebody = self._requester()
        with probe, self._file:
            # Others hear of it as well: the answer is what it is now.
            request = somebody.request(bus.hadds()[number], uuid, Genre.CONFIG, 112, data=text)
            answer = self._ask(somebody, {**request, "is_writeonly": True, "is_readonly": False})
            if answer.get("data") != text:
                self.did["configurations refused"] += 1
                return
            self.did["configurations"] += 1
            self._house.written.setdefault(section, {})[uuid] = text
            if f"{uuid} = {text}\n" not in self._house.path.read_text("utf-8"):
                self.wrong.append(f"{section} {uuid} = {text}: answered, and not in the file")

    def _storm(self) -> None:
        """Several controllers come back after a power cut, and all want to know everything."""
        probe, _ = self._requester()
        with probe:
            for controller in range(5):
                for what in LISTS:
                    request = {"cmd_class": 20480, "genre": 4, "uuid": f"request_info_{what}"}
                    request["reply_hadd"] = f"98{controller:02d}/0001"
                    probe.publish("/broadcast/request", request)
                    self.did["discoveries"] += 1
            probe.publish("/dhcp/heartbeat", json.dumps({"add_ctrl": 9800, "add_node": 0, "state": "ONLINE"}))

    # -- the file ----------------------------------------------------------------------------------------------------

    def _edit(self) -> None:
        house, chance = self._house, self._chance
        with self._file:
            house.guests = [each for each in GUESTS if chance.random() < 0.5]
            house.faults = {each.section: chance.choice(FAULTS) for each in self._changing if chance.random() < 0.7}
            house.moved = {"rpibasic"} if chance.random() < 0.3 else set()
            bus = chance.choice([each for each in self._changing if len(each.components) > 1])
            house.without = {bus.section: {list(bus.components)[-1]}} if chance.random() < 0.5 else {}
            self._save()
            if chance.random() < 0.2:
                self._break_file()
            match chance.randrange(10):
                case 0:
                    os.kill(self._server.pid, signal.SIGHUP)
                case 1:
                    self._run("reload", str(house.path))
                case _:
                    self._server.ask("reload")
            self.did["reloads"] += 1

    def _break_file(self) -> None:
        """Save it with a mistake first: it is refused, and nothing changes."""
        text = self._house.path.read_text("utf-8")
        self._house.path.write_text(text.replace("heartbeat = 1", "heartbeat = soon", 1), "utf-8")
        with contextlib.suppress(NotServedError):
            self._server.ask("reload")
            self.wrong.append("a file with a mistake was taken over")
        self.did["reloads refused"] += 1
        self._save()

    def _hang_up(self) -> None:
        for server in (self._server, self._annex):
            os.kill(server.pid, signal.SIGHUP)
            self.did["hang-ups"] += 1

    def _save(self) -> None:
        """As editors do that replace the file."""
        new = self._house.path.with_suffix(".new")
        new.write_text(self._house.text(), "utf-8")
        new.replace(self._house.path)

    # -- blows -------------------------------------------------------------------------------------------------------

    def _break_broker(self) -> None:
        match self._chance.randrange(3):
            case 0:
                self._broker.restart()
                self.did["broker restarts"] += 1
            case 1:
                self._broker.kill()
                self._broker.start()
                self.did["broker kills"] += 1
            case _:
                with self._broker.frozen():
                    self._rest.wait(self._chance.uniform(0.5, 6))
                self.did["broker freezes"] += 1

    def _kill_process(self) -> None:
        server = self._chance.choice([self._server, self._annex])
        spared = {f"/buses/{section}" for section in server.spared}
        pids = [
            each["pid"] for each in server.actors() if each["isolation"] == "process" and each["path"] not in spared
        ]
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(
                self._chance.choice([each for each in pids if each]),
                self._chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP]),
            )
            self.did["processes of buses hit"] += 1

    # -- those who look ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        server = self._chance.choice([self._server, self._annex])
        what = self._chance.choice(LOOKS)
        paths = {"status": "/buses", "poll": "/buses/cellar", "restart": "/buses/rpispi/bus", "suspend": "/buses/nut"}
        if server is self._annex and what in {"poll", "restart", "suspend"}:
            return
        with connect(server.file) as control:
            control.ask(what, ASK, **({"path": paths[what]} if what in paths else {}))
            if what == "suspend":
                control.ask("resume", ASK, path=paths[what])
        self.did["looks by the console"] += 1

    def _leave_console(self) -> None:
        """Begin to follow, and go in the middle: as a program that is killed, and as a connection that is cut."""
        what = self._chance.choice([["logs", "-f"], ["trace", "--max", "1000"]])
        with start_program("console", str(self._house.path), *what, stdout=subprocess.DEVNULL) as program:
            self._rest.wait(1.5)
            program.kill()
        with connect(self._server.file) as control:
            stream = control.stream("trace", ASK, path="/", max=1000, rate=200)
            for _ in range(3):
                next(stream)
        with connect(self._server.file) as control:
            next(control.stream("logs", ASK, follow=True))
        self._run("console", str(self._house.path), self._chance.choice(["tree", "status", "health"]), "/buses")
        self.did["consoles left"] += 3

    def _scrape(self) -> None:
        self.tally.scrape()
        self.did["scrapes"] += 1

    def _scrape_slowly(self) -> None:
        client = socket.create_connection(("127.0.0.1", self._house.metrics_port), timeout=5)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x")
        self._left.append(client)
        if len(self._left) > 20:
            self._left.pop(0).close()
        self.did["slow scrapes"] += 1

    def _forget_left(self) -> None:
        for client in self._left:
            client.close()
        self._left.clear()

    def _run(self, *arguments: str) -> None:
        with start_program(*arguments, stdout=subprocess.DEVNULL) as program:
            try:
                program.communicate(timeout=ASK)
            finally:
                program.kill()
        self.did["commands"] += 1

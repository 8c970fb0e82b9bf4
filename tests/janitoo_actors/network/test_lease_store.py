"""The database of leases: killed, broken, full, shared, of another version."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from janitoo_actors.network.leases.rules import Decision
from janitoo_actors.network.leases.store import LeaseStore, LeaseStoreError, NewerDatabaseError
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import Lease, LeaseAction, LeaseAnswer
from janitoo_actors.protocol.messages import NodeState
from lease_peers import Primary, request
from running_server import TIMEOUT, obey_permissions

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "leases.sqlite"


def some_leases(path: Path, count: int) -> list[Lease]:
    leases = [
        Lease(Hadd(10 + n, 0), f"n{n}", "Attic", (49,), NodeState.ONLINE, 1.5, {"uuid": "u"}) for n in range(count)
    ]
    store = LeaseStore(path)
    store.commit(Decision(LeaseAnswer("r", 200), keep=tuple(leases)))
    store.close()
    return leases


def load(path: Path) -> tuple[list[Lease], LeaseStore]:
    store = LeaseStore(path)
    leases = list(store.load().snapshot().values())
    store.close()
    return leases, store


def test_what_is_written_is_read(path: Path) -> None:
    leases = some_leases(path, 3)
    assert load(path)[0] == leases


@pytest.mark.parametrize("kills", [6])
def test_a_primary_that_is_killed_has_promised_nothing_that_its_successor_does_not_know(path: Path, kills: int) -> None:
    promised: dict[str, int] = {}
    for life in range(kills):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        command = [sys.executable, "-m", "leasing_process", str(path), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, encoding="utf-8") as process:
            assert process.stdout is not None
            # Somewhere in the middle of a later one.
            lines = [process.stdout.readline() for _ in range(15 + 7 * life)]
            process.kill()
            lines += process.stdout.readlines()
            process.wait(TIMEOUT)
        for line in lines:
            # The kill may have cut off the last line; a whole one is a promise.
            if line.endswith("\n"):
                assert line not in promised, f"{line.strip()} is promised by {life} and {promised[line]}"
                promised[line] = life
    known = {f"{lease.hadd}\n" for lease in load(path)[0]}
    assert set(promised) <= known
    assert len(promised) >= 15 * kills


@pytest.mark.parametrize(
    "broken",
    [
        b"no database at all, but a text that somebody has written here by mistake",
        b"SQLite format 3\0" + b"\xff" * 5000,
    ],
)
def test_a_file_that_is_no_database_is_moved_aside_and_kept(path: Path, broken: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(broken)
    leases, store = load(path)
    assert (leases, store.rescued) == ([], 0)
    assert store.moved_to is not None
    assert store.moved_to.read_bytes() == broken
    assert store.why_moved
    # Once is enough.
    assert load(path)[1].moved_to is None


def test_what_can_be_read_of_a_broken_database_is_taken_over(path: Path) -> None:
    leases = some_leases(path, 400)
    data = bytearray(path.read_bytes())
    page = 4096
    middle = data.index(b"n200") // page * page
    data[middle : middle + page] = b"\xa5" * page
    path.write_bytes(data)
    rescued, store = load(path)
    assert store.moved_to is not None
    assert store.rescued == len(rescued)
    assert 0 < len(rescued) < len(leases)
    assert set(map(repr, rescued)) <= set(map(repr, leases))
    # From both sides of the hole.
    assert rescued[0] == leases[0]
    assert rescued[-1] == leases[-1]


def test_rows_that_cannot_be_read_are_as_bad_as_broken_pages(path: Path) -> None:
    some_leases(path, 3)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE leases SET params = 'no JSON' WHERE add_ctrl = 11")
    connection.close()
    rescued, store = load(path)
    assert store.moved_to is not None
    assert [str(each.hadd) for each in rescued] == ["0010/0000", "0012/0000"]


def test_two_that_break_within_a_second_are_both_kept(path: Path) -> None:
    path.parent.mkdir()
    for text in (b"one, which is no database", b"two, which is no database"):
        path.write_bytes(text)
        load(path)
    kept = {each.read_bytes() for each in path.parent.glob("leases.sqlite.broken-*")}
    assert kept == {b"one, which is no database", b"two, which is no database"}


def test_a_later_version_is_left_alone(path: Path) -> None:
    some_leases(path, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerDatabaseError, match="is of version 99, and this program knows those up to 1"):
        LeaseStore(path)
    assert path.read_bytes() == before


def test_two_servers_cannot_use_one_database(path: Path) -> None:
    store = LeaseStore(path)
    with pytest.raises(LeaseStoreError, match="another server uses it: give each primary a home_dir of its own"):
        LeaseStore(path)
    store.close()
    LeaseStore(path).close()


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o500)
    program = "import sys, pathlib; from janitoo_actors.network.leases.store import LeaseStore\n"
    program += (
        "try: LeaseStore(pathlib.Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__, error)"
    )
    # As an ordinary user: root may write everywhere.
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "leases.sqlite")],
        capture_output=True,
        encoding="utf-8",
        preexec_fn=obey_permissions,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.startswith(f"LeaseStoreError {folder}/leases.sqlite cannot be used: unable to open")
    assert "write permission" in done.stdout


def test_a_full_disk_changes_nothing(path: Path) -> None:
    primary = Primary(path)
    primary.serve(request(LeaseAction.NEW, name="a"))
    pages = primary.store._connection.execute("PRAGMA page_count").fetchone()[0]
    # As a disk without another page does.
    primary.store._connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for number in range(1000):
            primary.serve(request(LeaseAction.NEW, name=f"n{number}" * 20))

    with pytest.raises(LeaseStoreError, match="database or disk is full"):
        fill()
    known = primary.book.snapshot()
    primary.restart()
    assert primary.book.snapshot() == known
    primary.store.close()


def test_primaries_that_were_met_are_kept(path: Path) -> None:
    store = LeaseStore(path)
    for _ in range(2):
        store.met(Hadd(2, 0))
    store.close()
    store = LeaseStore(path)
    assert store.primaries() == {Hadd(2, 0)}
    store.close()


def test_a_folder_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LeaseStoreError, match="Not a directory; write home_dir = … into"):
        LeaseStore(tmp_path / "file" / "home" / "leases.sqlite")

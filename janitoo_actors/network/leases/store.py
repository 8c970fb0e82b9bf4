"""Leases on the disk: SQLite, from Python's standard library.

A write-ahead log with `synchronous = FULL`: a commit is one write and one fsync, which is little for an SD card, and
what has been committed survives a power cut. The file is locked for as long as it is open, so that two servers never
hand out addresses from one file.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from janitoo_actors.errors import PermanentError, TemporaryError
from janitoo_actors.network.leases.rules import MOST_ANSWERS, Decision, LeaseBook, Remembered
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import Lease, LeaseAnswer
from janitoo_actors.protocol.messages import NodeState

T = TypeVar("T")

MIGRATIONS: Final[Sequence[str]] = (
    """
    CREATE TABLE leases (
        add_ctrl INTEGER NOT NULL,
        add_node INTEGER NOT NULL,
        name TEXT NOT NULL,
        location TEXT NOT NULL,
        cmd_classes TEXT NOT NULL,
        state TEXT NOT NULL,
        last_seen REAL NOT NULL,
        params TEXT NOT NULL,
        PRIMARY KEY (add_ctrl, add_node)
    ) WITHOUT ROWID;
    CREATE TABLE seen (
        add_ctrl INTEGER NOT NULL,
        add_node INTEGER NOT NULL,
        PRIMARY KEY (add_ctrl, add_node)
    ) WITHOUT ROWID;
    CREATE TABLE answers (
        number INTEGER PRIMARY KEY,
        rep_uuid TEXT NOT NULL UNIQUE,
        request TEXT NOT NULL,
        msg_status INTEGER NOT NULL,
        data TEXT NOT NULL
    );
    CREATE TABLE primaries (
        add_ctrl INTEGER NOT NULL,
        add_node INTEGER NOT NULL,
        PRIMARY KEY (add_ctrl, add_node)
    ) WITHOUT ROWID;
    """,
)
"""How the tables came to be what they are; the number of those that have been done is the file's `user_version`."""

_FILES: Final = ("", "-wal", "-shm", "-journal")
"""What belongs to a database, by the endings of its name."""
_LEASE_COLUMNS: Final = "add_ctrl, add_node, name, location, cmd_classes, state, last_seen, params"


class LeaseStoreError(TemporaryError):
    """The leases could not be read or written this time; on the disk they are as they were."""


class BrokenDatabaseError(LeaseStoreError):
    """The file is no sound database any more; to open it anew moves it aside."""


class NewerDatabaseError(PermanentError):
    """A later version of this program has written the file, in a way that is not known here."""


class LeaseStore:
    """The database of a primary's leases. One thread; blocks for the disk.

    Attributes:
        path: the file.
        moved_to: where a broken file has been moved; None where it was not broken.
        why_moved: what was wrong with it.
        rescued: how many leases could be read from it.
    """

    def __init__(self, path: Path) -> None:
        """Open the database; makes it where it is missing, and brings an old one up to date.

        One that is broken is moved aside, as `<name>.broken-<time>`, and what can be read of it is taken over.

        Raises:
            LeaseStoreError: where the disk does not allow it, or another server has the file.
            NewerDatabaseError: where the file is of a later version; it is as it was.
        """
        self.path = path
        self.moved_to: Path | None = None
        self.why_moved = ""
        self.rescued = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        except sqlite3.DatabaseError as error:
            self._start_anew(str(error))
        except OSError as error:
            todo = "write home_dir = … into [system], a folder that the user who runs the server may write to"
            raise LeaseStoreError(f"{path} cannot be used: {error.strerror or error}; {todo}") from error

    def load(self) -> LeaseBook:
        """All that is on the disk."""
        with self._told():
            return LeaseBook(_leases(self._connection), self._hadds("seen"), self._answers())

    def primaries(self) -> set[Hadd]:
        """The other primaries that have been met, ever."""
        with self._told():
            return set(self._hadds("primaries"))

    def commit(self, decision: Decision) -> None:
        """Write what a decision changes, all of it or nothing; when this returns, it is on the disk.

        Raises:
            LeaseStoreError: the disk is full, and the like; it is as it was.
        """
        with self._transaction() as connection:
            connection.executemany(_PUT_LEASE, map(_row, decision.keep))
            for hadd in decision.remove:
                where = (hadd.controller, hadd.node)
                connection.execute("DELETE FROM leases WHERE add_ctrl = ? AND add_node = ?", where)
                connection.execute("DELETE FROM seen WHERE add_ctrl = ? AND add_node = ?", where)
            if decision.remove:
                gone = set(decision.remove)
                promised = [each.answer.rep_uuid for each in self._answers() if each.promises(gone)]
                connection.executemany("DELETE FROM answers WHERE rep_uuid = ?", [(uuid,) for uuid in promised])
            if decision.remember:
                answer = decision.answer
                values = (answer.rep_uuid, decision.request, answer.msg_status, json.dumps(dict(answer.data)))
                connection.execute(
                    "INSERT OR REPLACE INTO answers (rep_uuid, request, msg_status, data) VALUES (?, ?, ?, ?)", values
                )
                # Numbers grow, so that the oldest have the lowest.
                connection.execute(
                    "DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ?", (MOST_ANSWERS,)
                )

    def save(self, leases: Iterable[Lease], seen: Iterable[Hadd]) -> None:
        """Write states and times of leases, and addresses that were seen without one. Raises as `commit`."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE leases SET state = ?, last_seen = ? WHERE add_ctrl = ? AND add_node = ?",
                [(each.state.value, each.last_seen, each.hadd.controller, each.hadd.node) for each in leases],
            )
            connection.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", [(h.controller, h.node) for h in seen])

    def met(self, primary: Hadd) -> None:
        """Write that another primary has been met. Raises as `commit`."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO primaries VALUES (?, ?)", (primary.controller, primary.node))

    def close(self) -> None:
        """Close the file; whatever is wrong with it then, is there at the next start too."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        # autocommit: each transaction is written out. Made on one thread, closed on any: `on_end` may have to.
        connection = sqlite3.connect(self.path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # Takes the lock, which is kept from here on.
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(str(problem))
            self._migrate(connection)
            # What was written by whom: rows that only a hand can have made are as bad as broken pages.
            _check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise NewerDatabaseError(
                f"{self.path} is of version {version}, and this program knows those up to {len(MIGRATIONS)}: "
                "install the program that wrote it, or move the file away"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            # One transaction each: after a power cut it is done, or to be done.
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")

    def _start_anew(self, why: str) -> None:
        """Move a broken database aside, and begin with what can be read of it."""
        stamp = time.strftime("%Y%m%dT%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.broken-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.broken-{stamp}-{number}")
        try:
            leases, seen = _rescue(self.path)
            for ending in _FILES:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self.path}{ending}", f"{aside}{ending}")
            self._connection = self._open()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        except OSError as error:
            raise LeaseStoreError(f"{self.path} is broken, and cannot be moved: {error.strerror or error}") from error
        self.moved_to = aside
        self.why_moved = why
        self.rescued = len(leases)
        with self._transaction() as connection:
            connection.executemany(_PUT_LEASE, map(_row, leases))
            connection.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", seen)

    # -- reading and writing -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        except sqlite3.Error as error:
            raise BrokenDatabaseError(f"{self.path} is broken: {error}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A failed commit may have ended it by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _hadds(self, table: str) -> list[Hadd]:
        return [Hadd(*row) for row in self._connection.execute(f"SELECT add_ctrl, add_node FROM {table}")]

    def _answers(self) -> list[Remembered]:
        rows = self._connection.execute("SELECT rep_uuid, request, msg_status, data FROM answers ORDER BY number")
        return [
            Remembered(request, LeaseAnswer(rep_uuid, status, data=json.loads(data)))
            for rep_uuid, request, status, data in rows
        ]

    def _failure(self, error: sqlite3.Error) -> LeaseStoreError:
        text = str(error)
        if "locked" in text:
            text = "another server uses it: give each primary a home_dir of its own"
        elif "unable to open" in text or "readonly" in text:
            text += "; give the user that runs the server write permission for the file and its folder"
        return LeaseStoreError(f"{self.path} cannot be used: {text}")


_PUT_LEASE: Final = f"INSERT OR REPLACE INTO leases ({_LEASE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def _row(lease: Lease) -> tuple[Any, ...]:
    return (
        lease.hadd.controller,
        lease.hadd.node,
        lease.name,
        lease.location,
        json.dumps(lease.cmd_classes),
        lease.state.value,
        lease.last_seen,
        json.dumps(dict(lease.params)),
    )


def _lease(row: Sequence[Any]) -> Lease:
    """The lease of a row. Raises ValueError or TypeError where it is none."""
    add_ctrl, add_node, name, location, cmd_classes, state, last_seen, params = row
    told: Mapping[str, Any] = json.loads(params)
    if not isinstance(told, dict):
        raise ValueError("params: expected an object")
    classes = tuple(int(each) for each in json.loads(cmd_classes))
    return Lease(Hadd(add_ctrl, add_node), str(name), str(location), classes, NodeState(state), float(last_seen), told)


def _leases(connection: sqlite3.Connection) -> list[Lease]:
    return [_lease(row) for row in connection.execute(f"SELECT {_LEASE_COLUMNS} FROM leases")]


def _check(connection: sqlite3.Connection) -> None:
    """Refuse a database whose rows cannot be read, as one whose pages cannot."""
    try:
        _leases(connection)
        for table in ("seen", "primaries"):
            for row in connection.execute(f"SELECT add_ctrl, add_node FROM {table}"):
                Hadd(*row)
        for (data,) in connection.execute("SELECT data FROM answers"):
            json.loads(data)
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a row that cannot be read: {error}") from error
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such"):
            # A table or a column is missing.
            raise sqlite3.DatabaseError(str(error)) from error
        raise


def _rescue(path: Path) -> tuple[list[Lease], list[tuple[int, int]]]:
    """What can be read of a broken database, row by row; perhaps nothing."""
    leases: dict[Hadd, Lease] = {}
    seen: dict[tuple[int, int], None] = {}
    # From a copy: to read a database may change it, and a broken one is to be kept as it was found.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        copy = Path(folder) / path.name
        for ending in _FILES:
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(copy)) as connection:
            # From both ends: a broken page in the middle hides only what is behind it.
            for order in ("ASC", "DESC"):
                by = f"ORDER BY add_ctrl {order}, add_node {order}"
                for lease in _readable(connection, f"SELECT {_LEASE_COLUMNS} FROM leases {by}", _lease):
                    leases[lease.hadd] = lease
                for hadd in _readable(connection, f"SELECT add_ctrl, add_node FROM seen {by}", lambda row: Hadd(*row)):
                    seen[hadd.controller, hadd.node] = None
    return list(leases.values()), list(seen)


def _readable(connection: sqlite3.Connection, query: str, convert: Callable[[Sequence[Any]], T]) -> Iterator[T]:
    """The rows that can be read, up to the first page that cannot."""
    with contextlib.suppress(sqlite3.Error):
        for row in connection.execute(query):
            with contextlib.suppress(ValueError, TypeError):
                yield convert(row)

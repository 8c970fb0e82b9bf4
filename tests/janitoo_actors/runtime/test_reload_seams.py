"""Where a reload meets the store: what it reads is what the file is written on from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokers import Mosquitto
from faulty_drivers import Configuration, Scripts, registry
from janitoo_actors.configuration.fallback import load_or_fall_back
from janitoo_actors.configuration.last_good import good_copies
from janitoo_actors.configuration.store import StoreError
from janitoo_actors.runtime.reload import ReloadRefusedError
from janitoo_actors.runtime.server import Server
from running_server import TIMEOUT, running


def test_a_reload_ends_the_life_on_a_copy(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["sensor"], own={"name": "First"}).write()
    with running(path, registry()):
        pass
    good = path.read_bytes()
    path.write_text("nonsense\n")
    server = Server(load_or_fall_back(path, registry(), fall_back=True), registry=registry)
    try:
        with pytest.raises(StoreError, match="mend the file and reload it first"):
            server.running.set("one", {"name": "Second"})
        with pytest.raises(ReloadRefusedError):
            server.reload("test")
        assert path.read_text() == "nonsense\n"
        path.write_bytes(good.replace(b"First", b"Third"))
        server.reload("test")
        server.running.set("one", {"location": "Attic"})
        assert b"name = Third" in path.read_bytes()
        assert b"location = Attic" in path.read_bytes()
    finally:
        assert server.stop(TIMEOUT)
    assert scripts["one"].opened == scripts["one"].closed


def test_a_reloaded_file_is_kept_as_a_good_copy(broker: Mosquitto, tmp_path: Path) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["sensor"], own={"name": "First"}).write()
    with running(path, registry()) as server:
        changed = path.read_bytes().replace(b"First", b"Second")
        path.write_bytes(changed)
        server.server.reload("test")
        assert good_copies(path)[0].path.read_bytes() == changed
        # What is set over the air now goes on top of what was read, and is no conflict.
        server.server.running.set("one", {"name": "Third"})
        assert path.read_bytes() == changed.replace(b"Second", b"Third")

"""`janitoo run --last-good`: a start with the last good copy of a file that is broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokers import Mosquitto
from janitoo_actors.configuration.last_good import good_copies
from janitoo_actors.protocol.codes import Genre
from mqtt_probe import Probe
from running_server import TIMEOUT, Requester, run_command, system_section
from tool_runs import run_program

HOST = """
[hostsensor]
hadd = 0157/0000
components.load = hostsensor.load
[hostsensor__load]
hadd = 0157/0001
"""
BROKEN = {
    "no INI file": ("[hostsensor]\n", "[hostsensor\n", "expected [section], key = value, or a comment"),
    "system": ("[system]", "[system]\nbroker_keepalive = no", "[system] broker_keepalive = 'no': expected a whole"),
    "no bus": ("hostsensor.load", "hostsensor.laod", "there is no bus to start"),
    "empty": (None, "", "neither [system] nor a bus in it"),
    "no UTF-8": (None, "\udcff", "no UTF-8"),
}


def write(folder: Path, broker: Mosquitto) -> Path:
    path = folder / "my.conf"
    path.write_text(system_section(broker) + HOST, encoding="utf-8")
    return path


def run_once(path: Path) -> None:
    """Have a server run with the file."""
    with run_command(path) as process:
        process.wait_summary()
        assert process.interrupt() == 0


@pytest.mark.parametrize("wrong", BROKEN)
def test_broken_file(network: Mosquitto, tmp_path: Path, wrong: str) -> None:
    path = write(tmp_path, network)
    run_once(path)
    old, new, why = BROKEN[wrong]
    good = path.read_text(encoding="utf-8")
    broken = (good.replace(old, new) if old is not None else new).encode("utf-8", "surrogateescape")
    path.write_bytes(broken)
    (copy,) = good_copies(path)

    # Without being told to it does not start, and says what would help.
    refused = run_program("run", str(path))
    assert refused.code == 78
    assert why in refused.err
    assert refused.err.splitlines()[-1] == (
        f"janitoo: {path}: there is a good copy of {copy.date}, {tmp_path}/.my.conf.good-1: mend the file, or start "
        "the server with the copy by the option --last-good"
    )
    assert "Traceback" not in refused.err

    with run_command(path, "--last-good") as process:
        process.wait_summary()
        assert "2 of 2 nodes are online" in process.out
        assert why in process.err
        (said,) = (line for line in process.err.splitlines() if "last_good_copy_used" in line)
        for text in (str(path), str(copy.path), copy.date, "the file is broken: mend it and reload it"):
            assert text in said
        with Probe(network.host, network.port, timeout=TIMEOUT) as probe:
            # The broken file is its owner's: nothing is written over what is to be mended.
            answer = Requester(probe).write("0157/0001", "location", "Attic", Genre.CONFIG)
            assert f"{path} was not written: it is broken, and the server runs on the good copy of" in answer["error"]
            assert Requester(probe).read("0157/0001", "location", Genre.CONFIG)["data"] == "Default location"
        assert process.interrupt() == 0
    assert path.read_bytes() == broken
    assert copy.path.read_text(encoding="utf-8") == good


def test_sound_file_is_run_itself(network: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, network)
    run_once(path)
    path.write_text(path.read_text(encoding="utf-8").replace("0157", "0158"), encoding="utf-8")
    with run_command(path, "--last-good") as process:
        process.wait_summary()
        assert "0158/0001" in process.out
        assert "last_good_copy_used" not in process.err
        assert process.interrupt() == 0
    assert len(good_copies(path)) == 2


def test_what_was_set_over_the_air_is_in_the_copy(network: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, network)
    with run_command(path) as process:
        process.wait_summary()
        with Probe(network.host, network.port, timeout=TIMEOUT) as probe:
            answer = Requester(probe).write("0157/0001", "location", "Attic", Genre.CONFIG)
            assert answer["data"] == "Attic"
        assert process.interrupt() == 0
    os.truncate(path, 20)
    with run_command(path, "--last-good") as process:
        process.wait_summary()
        with Probe(network.host, network.port, timeout=TIMEOUT) as probe:
            assert Requester(probe).read("0157/0001", "location", Genre.CONFIG)["data"] == "Attic"
        assert process.interrupt() == 0


def test_newest_copy_that_is_broken_too(network: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, network)
    run_once(path)
    path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    run_once(path)
    path.write_text("[", encoding="utf-8")
    newest, older = good_copies(path)
    newest.path.write_text("[", encoding="utf-8")
    with run_command(path, "--last-good") as process:
        process.wait_summary()
        assert f"{newest.path}:1: " in process.err
        assert f"copy={older.path}" in process.err
        assert process.interrupt() == 0


@pytest.mark.parametrize("copies", [0, 1])
def test_no_copy_to_start_with(tmp_path: Path, copies: int) -> None:
    path = tmp_path / "my.conf"
    path.write_text("[", encoding="utf-8")
    if copies:
        (tmp_path / ".my.conf.good-1").write_text("[", encoding="utf-8")
    outcome = run_program("run", "--last-good", str(path))
    assert outcome.code == 78
    assert outcome.err.splitlines()[-1] == (
        f"janitoo: {path}: there is no good copy of it to start with: a server that runs keeps one; mend the file"
    )
    assert "Traceback" not in outcome.err


def test_file_that_is_gone(network: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, network)
    run_once(path)
    path.unlink()
    with run_command(path, "--last-good") as process:
        process.wait_summary()
        assert "there is no such file" in process.err
        assert process.interrupt() == 0
    assert not path.exists()


def test_server_with_a_wrong_bus_keeps_no_copy(network: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, network)
    run_once(path)
    (before,) = good_copies(path)
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n[attic]\noid = hostsensor\nauto_start = True\nhadd = 0121/0001\n", encoding="utf-8")
    run_once(path)
    assert good_copies(path) == [before]

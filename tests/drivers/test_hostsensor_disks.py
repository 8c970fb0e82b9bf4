"""hostsensor.disks, against statvfs and what df computes of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import psutil
import pytest

from drivers.hostsensor import Disks
from janitoo_actors.api import OptionsError, TemporaryError

SIZES = ("total", "used", "free", "percent_use")
VALUES = ("partition", *SIZES)


def test_without_configuration_it_is_the_root() -> None:
    disks = Disks()
    for value in VALUES:
        assert [it.text for it in disks.instances(value)] == ["/"]
    assert disks.read("partition") == "/"


def test_the_sizes_are_those_of_the_file_system(tmp_path: Path) -> None:
    disks = Disks(options={"partition_config_0": str(tmp_path)})
    file_system = os.statvfs(tmp_path)
    assert disks.read("total") == file_system.f_blocks * file_system.f_frsize
    # Other programs write to the disk meanwhile.
    near = 64 * 2**20
    assert disks.read("free") == pytest.approx(file_system.f_bavail * file_system.f_frsize, abs=near)
    used = (file_system.f_blocks - file_system.f_bfree) * file_system.f_frsize
    assert disks.read("used") == pytest.approx(used, abs=near)
    share = 100 * disks.read("used") / (disks.read("used") + disks.read("free"))
    assert disks.read("percent_use") == pytest.approx(share, abs=0.2)


def test_the_data_have_the_types_of_the_wire() -> None:
    disks = Disks()
    assert [type(disks.read(value)) for value in VALUES] == [str, int, int, int, float]


def test_the_sizes_follow_the_partitions() -> None:
    disks = Disks(options={"partition_config_0": "/", "partition_config_1": "/proc", "used_config_0": "/dev"})
    for value in ("partition", "total", "free", "percent_use"):
        assert [it.config for it in disks.instances(value)] == ["/", "/proc"]
    assert [it.config for it in disks.instances("used")] == ["/dev"]
    assert disks.read("partition", 1) == "/proc"
    assert disks.read("total", 0) > 0
    assert disks.read("total", 1) == psutil.disk_usage("/proc").total


def test_the_options_of_an_original_server_are_taken_as_they_are() -> None:
    paths = ("/", "/proc")
    options = {f"{value}_config_{index}": path for value in VALUES for index, path in enumerate(paths)}
    disks = Disks(options=options)
    assert all([it.config for it in disks.instances(value)] == list(paths) for value in VALUES)


@pytest.mark.parametrize("value", VALUES)
def test_a_path_that_is_not_there_is_a_temporary_error_that_names_it(value: str, tmp_path: Path) -> None:
    mount = tmp_path / "usb"
    disks = Disks(options={"partition_config_0": str(mount)})
    with pytest.raises(TemporaryError, match=rf"cannot read the size of {mount}: No such file"):
        disks.read(value)
    mount.mkdir()
    assert disks.read(value) is not None


def test_a_disk_that_does_not_answer_is_a_temporary_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stale(path: str) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)

    monkeypatch.setattr(psutil, "disk_usage", stale)
    with pytest.raises(TemporaryError, match=r"cannot read the size of /srv: Stale file handle"):
        Disks(options={"partition_config_0": "/srv"}).read("free")


@pytest.mark.parametrize("text", ["", "home", "./home", "C:\\", "/ho\0me"])
def test_a_path_must_be_absolute(text: str) -> None:
    with pytest.raises(OptionsError, match="expected a") as raised:
        Disks(options={"partition_config_0": text})
    # Once, although four more values follow it.
    assert [each.key for each in raised.value.problems] == ["partition_config_0"]


def test_a_changed_partition_changes_the_sizes_that_follow_it(tmp_path: Path) -> None:
    disks = Disks(options={"partition_config_0": "/", "used_config_0": "/dev"})
    disks.change_instance("partition", str(tmp_path))
    assert disks.instances("total")[0].config == str(tmp_path)
    assert disks.instances("used")[0].config == "/dev"
    disks.change_instance("total", "/proc")
    assert disks.instances("partition")[0].config == str(tmp_path)
    # From its own change on it follows no more, as at the next start, when it has an option of its own.
    disks.change_instance("partition", "/sys")
    assert disks.instances("total")[0].config == "/proc"
    assert disks.instances("free")[0].config == "/sys"


def test_a_refused_change_changes_nothing() -> None:
    disks = Disks()
    with pytest.raises(ValueError, match=r"^expected an absolute path"):
        disks.change_instance("partition", "home")
    assert [disks.instances(value)[0].config for value in VALUES] == ["/"] * 5

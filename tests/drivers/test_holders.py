"""Who has a device that is busy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from drivers.holders import kernel_driver, programs_with

HOLD = "import sys; files = [open(each) for each in sys.argv[1:]]; print('open', flush=True); sys.stdin.read()"


def test_the_programs_that_have_a_file_open(tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.touch()
    held = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(device)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    try:
        for each in held:
            assert each.stdout is not None
            assert each.stdout.readline() == b"open\n"
        # Not this one, which has it open too.
        with device.open():
            first, *_ = sorted(each.pid for each in held)
            said = programs_with(device)
        assert said.startswith("python")
        assert f"(process {first}), " in said
        assert said.endswith(" and 1 more")
    finally:
        for each in held:
            each.communicate()
    assert programs_with(device) == ""


def test_the_driver_of_the_kernel(tmp_path: Path) -> None:
    device = tmp_path / "1-0076"
    device.mkdir()
    assert kernel_driver(device) is None
    (device / "driver").symlink_to(tmp_path)
    assert kernel_driver(device) == tmp_path.name

"""hostsensor.picpu, on trees of sysfs in a directory and a vcgencmd that is a script."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.hostsensor import PiCpu
from janitoo_actors.api import TemporaryError

VALUES = ("temperature", "frequency", "voltage")
FREQUENCY = "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"

# What the program of a Raspberry Pi 3B+ answers.
PI = """
case "$*" in
    measure_temp) echo "temp=55.8'C" ;;
    "measure_clock arm") echo "frequency(48)=1400000000" ;;
    "measure_volts core") echo "volt=1.3688V" ;;
    *) echo "error=1 error_msg=\\"Command not registered\\""; exit 1 ;;
esac
"""

Install = Callable[[str], Path]


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty sysfs."""
    root = tmp_path / "sys"
    root.mkdir()
    monkeypatch.setattr(PiCpu, "sysfs", root)
    return root


@pytest.fixture
def vcgencmd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A function that puts a vcgencmd on an otherwise empty PATH; without a call there is none."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))

    def install(script: str) -> Path:
        program = directory / "vcgencmd"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        return program

    return install


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.usefixtures("sysfs", "vcgencmd")
@pytest.mark.parametrize("value", VALUES)
def test_what_the_machine_does_not_have_is_none(value: str) -> None:
    assert PiCpu().read(value) is None


@pytest.mark.parametrize("value", VALUES)
def test_it_reads_this_machine_whatever_it_is(value: str) -> None:
    data = PiCpu().read(value)
    assert data is None or 0 < data < 10_000


@pytest.mark.usefixtures("vcgencmd")
@pytest.mark.parametrize("kind", ["cpu-thermal", "cpu_thermal", "bcm2835_thermal", "soc-thermal", "x86_pkg_temp"])
def test_the_temperature_is_that_of_the_cpus_zone(kind: str, sysfs: Path) -> None:
    write(sysfs, "class/thermal/thermal_zone0/type", "acpitz\n")
    write(sysfs, "class/thermal/thermal_zone0/temp", "27800\n")
    write(sysfs, "class/thermal/thermal_zone1/type", f"{kind}\n")
    write(sysfs, "class/thermal/thermal_zone1/temp", "47236\n")
    assert PiCpu().read("temperature") == 47.236


@pytest.mark.usefixtures("vcgencmd")
def test_a_temperature_below_zero_is_one(sysfs: Path) -> None:
    write(sysfs, "class/thermal/thermal_zone0/type", "cpu-thermal\n")
    write(sysfs, "class/thermal/thermal_zone0/temp", "-5000\n")
    assert PiCpu().read("temperature") == -5


@pytest.mark.usefixtures("vcgencmd")
def test_a_zone_that_is_not_the_cpus_says_nothing_of_it(sysfs: Path) -> None:
    write(sysfs, "class/thermal/thermal_zone0/type", "iwlwifi_1\n")
    write(sysfs, "class/thermal/thermal_zone0/temp", "47236\n")
    assert PiCpu().read("temperature") is None


@pytest.mark.usefixtures("vcgencmd")
@pytest.mark.parametrize("text", ["", "garbage\n", None])
def test_a_zone_that_does_not_answer_is_none(text: str | None, sysfs: Path) -> None:
    write(sysfs, "class/thermal/thermal_zone0/type", "cpu-thermal\n")
    if text is None:
        # A read of it fails, as of a zone that is switched off.
        (sysfs / "class/thermal/thermal_zone0/temp").mkdir()
    else:
        write(sysfs, "class/thermal/thermal_zone0/temp", text)
    assert PiCpu().read("temperature") is None


@pytest.mark.usefixtures("vcgencmd")
def test_the_frequency_is_in_megahertz(sysfs: Path) -> None:
    write(sysfs, FREQUENCY, "1400000\n")
    assert PiCpu().read("frequency") == 1400


@pytest.mark.usefixtures("sysfs")
def test_a_pi_without_sysfs_answers_by_vcgencmd(vcgencmd: Install) -> None:
    vcgencmd(PI)
    assert [PiCpu().read(value) for value in VALUES] == [55.8, 1400, 1.3688]


def test_sysfs_comes_first(sysfs: Path, vcgencmd: Install) -> None:
    vcgencmd(PI)
    write(sysfs, "class/thermal/thermal_zone0/type", "cpu-thermal\n")
    write(sysfs, "class/thermal/thermal_zone0/temp", "47236\n")
    write(sysfs, FREQUENCY, "600000\n")
    assert [PiCpu().read(value) for value in VALUES] == [47.236, 600, 1.3688]


@pytest.mark.usefixtures("sysfs")
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "script",
    [
        "echo 'VCHI initialization failed'; exit 255",
        "echo 'volt=1.2V'; exit 1",
        'echo "Can\'t open device file: /dev/vcio" >&2',
        'echo "error=2 error_msg=\\"Invalid arguments\\""',
        "printf '\\377\\376'",
        "echo 'volt=V'",
        "exit 0",
    ],
)
def test_a_machine_that_is_no_pi_has_none(script: str, value: str, vcgencmd: Install) -> None:
    vcgencmd(script)
    assert PiCpu().read(value) is None


@pytest.mark.usefixtures("sysfs")
def test_a_vcgencmd_for_another_processor_is_none(vcgencmd: Install) -> None:
    vcgencmd("").write_bytes(b"\x7fELF, but not really")
    assert PiCpu().read("voltage") is None


@pytest.mark.usefixtures("sysfs")
def test_a_vcgencmd_that_hangs_is_a_temporary_error_and_gone(
    vcgencmd: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the test may run.
    vcgencmd(f"echo $$ > {tmp_path}/pid\nexec /bin/sleep 600")
    monkeypatch.setattr(PiCpu, "command_timeout", 1)
    with pytest.raises(TemporaryError, match=r"^vcgencmd measure_volts core did not answer within 1 s$"):
        PiCpu().read("voltage")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)

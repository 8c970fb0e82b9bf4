"""The sensors of a main board that umockdev shows, on the real PySensors and libsensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from drivers.hostsensor.lmsensor import LmSensor

DEVICES = Path(__file__).parent.parent / "bench" / "hwmon.umockdev"
TIMEOUT = 60
PROGRAM = """
import json
from pathlib import Path
from drivers.hostsensor.lmsensor import LmSensor

HWMON = Path("/sys/devices/platform/fakechip.0/hwmon/hwmon0")

def made(**options):
    return LmSensor("hostsensor__lmsensor", options)

def tried(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = []
"""


def run(script: str) -> Any:
    """Run a program on that board; what it has found."""
    command = ["umockdev-run", "-d", str(DEVICES), "--", sys.executable, "-c"]
    done = subprocess.run(
        [*command, f"{PROGRAM}{script}\nprint(json.dumps(found))"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd=DEVICES.parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_first_of_each_kind() -> None:
    assert run('one = made()\nfound += [one.read(each) for each in ("temperature", "voltage", "fan")]') == [
        42.5,
        3.312,
        1200,
    ]


def test_by_name_label_and_chip() -> None:
    found = run(
        """
one = made(temperature_config_0="temp1", temperature_config_1="CPU", temperature_config_2="fakechip-isa-0000/temp1")
found += [one.read("temperature", index) for index in range(3)]
one.close()
one.close()
"""
    )
    assert found == [42.5, 42.5, 42.5]


def test_a_name_that_is_not_there() -> None:
    (said,) = run('found.append(tried(made(temperature_config_0="temp9").read, "temperature"))')
    assert said == "ConfigurationError: lm-sensors has no 'temp9': expected one of fakechip-isa-0000/temp1"


def test_another_reading_and_none_at_all() -> None:
    found = run(
        """
one = made(temperature_config_0="temp1")
found.append(one.read("temperature"))
(HWMON / "temp1_input").write_text("51000")
found.append(one.read("temperature"))
(HWMON / "temp1_input").write_text("")
found.append(tried(one.read, "temperature"))
(HWMON / "temp1_input").write_text("51000")
found.append(one.read("temperature"))
"""
    )
    assert (found[0], found[1], found[3]) == (42.5, 51.0, 51.0)
    assert found[2].startswith("TemporaryError: fakechip-isa-0000/temp1 cannot be read: ")


def test_two_components_do_not_double_the_chips() -> None:
    found = run(
        """
one, two = made(), made()
found += [one.read("temperature"), two.read("temperature"), len(one._found), len(two._found)]
one.close()
found.append(two.read("temperature"))
"""
    )
    assert found == [42.5, 42.5, 3, 3, 42.5]


def test_a_file_that_is_not_there() -> None:
    (said,) = run('found.append(tried(made(config_filename_0="/nowhere.conf").read, "fan"))')
    assert said == "ConfigurationError: config_filename_0 = /nowhere.conf: there is no such file"


def test_a_machine_without_such_sensors() -> None:
    # This one, whatever it has: what is not configured is no failure.
    device = LmSensor()
    for uuid in ("temperature", "voltage", "fan"):
        reading = device.read(uuid)
        assert reading is None or isinstance(reading, float)
    device.close()

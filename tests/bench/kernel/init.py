"""The first process of the User-Mode Linux machine of the tests. `run.py` starts it; it runs pytest, and switches off.

Everything is done with the system calls themselves: the machine has the host's files, and a small host has no `mount`,
`insmod` or `ip`. When this process ends otherwise, the kernel panics, and `run.py` finds no result.

Arguments: the folder for what the run leaves, the folder of the kernel's modules, and those of pytest.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONFIGFS = Path("/sys/kernel/config")
LINES = 54
"""As many as a Pi has."""

_FINIT_MODULE = 313  # The number of the system call on x86-64.
_POWER_OFF = 0x4321FEDC
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    """Raise what a system call of the C library has failed with."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(kind: str, folder: str) -> None:
    """Mount a file system of the kernel's own."""
    checked(libc.mount(kind.encode(), folder.encode(), kind.encode(), 0, None), f"mount {kind} {folder}")


def load_module(path: Path, options: str = "") -> None:
    """Load a module of the kernel."""
    with path.open("rb") as file:
        checked(libc.syscall(_FINIT_MODULE, file.fileno(), options.encode(), 0), f"load {path.name}")


def bring_up_loopback() -> None:
    """Have 127.0.0.1, for brokers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def plug_gpio() -> None:
    """Have a GPIO chip as a Pi's, on the kernel's simulator: /dev/gpiochip0."""
    chip = CONFIGFS / "gpio-sim" / "fake"
    bank = chip / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text(str(LINES))
    (bank / "label").write_text("pinctrl-bcm2711")
    (chip / "live").write_text("1")


def plug_thermometer() -> None:
    """Have an LM75 with a driver of hwmon: i2c-stub makes an adapter for it, with registers that one writes."""
    number = next(
        each.name.removeprefix("i2c-")
        for each in Path("/sys/bus/i2c/devices").glob("i2c-*")
        if "stub" in (each / "name").read_text()
    )
    Path(f"/sys/bus/i2c/devices/i2c-{number}/new_device").write_text("lm75 0x48")


def set_up(modules: Path) -> None:
    """Make the machine what the tests expect."""
    for kind, folder in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run")):
        mount(kind, folder)
    for folder in ("/dev/shm", "/run/tmp", "/run/lock"):
        Path(folder).mkdir(exist_ok=True)
    mount("tmpfs", "/dev/shm")
    mount("configfs", str(CONFIGFS))
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path("/dev", name).symlink_to(f"/proc/self/{target}")
    bring_up_loopback()
    # First, that it be /dev/i2c-1; the stub takes a free number.
    load_module(modules / "fakehw.ko")
    load_module(modules / "i2c-stub.ko", "chip_addr=0x48")
    plug_gpio()
    plug_thermometer()


def run_tests(arguments: list[str], output: Path) -> int:
    """Run pytest; its exit code."""
    environment = {
        "HOME": "/run",
        "LANG": "C.UTF-8",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        # In memory: sockets and FIFOs among the host's files would be the host's.
        "TMPDIR": "/run/tmp",
        # rpi-lgpio asks which Pi it is on; lgpio makes FIFOs in this folder.
        "RPI_LGPIO_CHIP": "0",
        "RPI_LGPIO_REVISION": "c03111",
        "LG_WD": "/run",
        "W1THERMSENSOR_NO_KERNEL_MODULE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "kernel", *arguments]
    with output.open("wb") as file:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        )
    return done.returncode


def main() -> None:
    """Set up the machine, run the tests, leave their exit code in a file, and switch off."""
    job, modules, *arguments = sys.argv[1:]
    try:
        set_up(Path(modules))
        print(f"Linux {platform.release()}", flush=True)
        code = run_tests(arguments, Path(job, "output"))
        Path(job, "code").write_text(str(code))
    finally:
        os.sync()
        libc.reboot(_POWER_OFF)


if __name__ == "__main__":
    main()

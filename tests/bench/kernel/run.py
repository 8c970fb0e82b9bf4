"""Build a User-Mode Linux kernel with the buses of a Pi, boot it, and run the tests marked `kernel` in it.

`make test-kernel` runs this. The kernel is built from Debian's source package where that has not been done yet with
this configuration, which takes a few minutes; it is kept in $JANITOO_KERNEL_DIR, or else in ~/.cache/janitoo-kernel.
The machine runs as the user, has the host's files, and is switched off at the end. Its devices are those of `init.py`
and `fakehw.c`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
CONFIG, MODULE, INIT = HERE / "config", HERE / "fakehw.c", HERE / "init.py"
PARTS = ("linux", "i2c-stub.ko", "fakehw.ko")
# A line of the configuration that depends on others is dropped without a word where those are not met.
NEEDED = (
    "64BIT",
    "HOSTFS",
    "GPIO_SIM",
    "I2C_CHARDEV",
    "I2C_STUB",
    "SPI_SPIDEV",
    "W1_SLAVE_THERM",
    "IIO",
    "SENSORS_LM75",
)
MEMORY = "512M"
BUILD_TIMEOUT = 1800.0
TIMEOUT = 600.0
# How much room User-Mode Linux gives the state of a processor, and how much it needs where that has AMX: with less, the
# host refuses to restore it. Later kernels ask the host.
STATE_FILE = "arch/x86/um/user-offsets.c"
STATE, LARGER_STATE = "DEFINE_LONGS(HOST_FP_SIZE, 2696)", "DEFINE_LONGS(HOST_FP_SIZE, 12288)"
# Nothing of these is built for us, and they are much of the source.
LEFT_OUT = ("*/drivers/gpu/*.[ch]", "*/sound/*.[ch]", "*/Documentation/*.rst", "*.dts", "*.dtsi")


def say(text: str) -> None:
    """Tell the user what takes time, or what is wrong."""
    print(text, file=sys.stderr, flush=True)


def kernel_folder() -> Path:
    """Where the kernel of this configuration is, or will be."""
    cache = os.environ.get("JANITOO_KERNEL_DIR") or Path.home() / ".cache/janitoo-kernel"
    release = platform.freedesktop_os_release()
    key = hashlib.sha256(f"{release.get('ID')} {release.get('VERSION_ID')}\n".encode())
    key.update(LARGER_STATE.encode())
    for file in (CONFIG, MODULE):
        key.update(file.read_bytes())
    return Path(cache).absolute() / key.hexdigest()[:16]


def is_built() -> bool:
    """Whether there is nothing to build."""
    return all((kernel_folder() / part).exists() for part in PARTS)


def make(tree: Path, *arguments: str) -> None:
    """Run make in the kernel's source."""
    command = ["make", "-s", "-C", str(tree), "ARCH=um", "SUBARCH=x86_64", *arguments]
    # Whoever runs this by make has variables that would speak to this one too.
    environment = {key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=BUILD_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            output.seek(0)
            sys.exit(f"{output.read().decode(errors='replace')}\nThe kernel was not built: {' '.join(command)} failed.")


def build(target: Path) -> None:
    """Build the kernel and the modules into a folder that is there only when all is in it."""
    if platform.machine() != "x86_64":
        sys.exit(f"User-Mode Linux is for x86-64 only, and this machine is {platform.machine()}.")
    sources = sorted(Path("/usr/src").glob("linux-source-*.tar.xz"))
    if not sources:
        sys.exit("There is no source of the kernel in /usr/src: install Debian's package linux-source.")
    say(f"Building a kernel from {sources[-1]}, once: this takes a few minutes")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as work:
        # In a path without spaces or signs that make would understand, in the cache.
        command = ["tar", "-xf", str(sources[-1]), "-C", work, *(f"--exclude={each}" for each in LEFT_OUT)]
        subprocess.run(command, check=True, timeout=BUILD_TIMEOUT)
        (tree,) = Path(work).iterdir()
        state = tree / STATE_FILE
        state.write_text(state.read_text().replace(STATE, LARGER_STATE))
        shutil.copy(CONFIG, tree / ".config")
        make(tree, "olddefconfig")
        lines = set((tree / ".config").read_text().splitlines())
        if missing := [each for each in NEEDED if not lines & {f"CONFIG_{each}=y", f"CONFIG_{each}=m"}]:
            sys.exit(f"The configuration {CONFIG} does not give {', '.join(missing)} in this kernel.")
        make(tree, f"-j{os.cpu_count() or 1}", "linux", "modules")
        outside = Path(work, "fakehw")
        outside.mkdir()
        shutil.copy(MODULE, outside)
        (outside / "Makefile").write_text("obj-m := fakehw.o\n")
        make(tree, f"M={outside}", "modules")
        done = Path(work, "done")
        done.mkdir()
        for part in (tree / "linux", tree / "drivers/i2c/i2c-stub.ko", outside / "fakehw.ko"):
            shutil.copy(part, done)
        subprocess.run(["strip", "--strip-debug", str(done / "linux")], check=True, timeout=BUILD_TIMEOUT)
        if target.exists():
            shutil.rmtree(target)
        done.rename(target)


def boot(kernel: Path, job: Path, arguments: list[str], timeout: float) -> int | None:
    """Run the machine until it is off; the exit code of the tests, or None where there is none."""
    command = [str(kernel / "linux"), f"mem={MEMORY}", "quiet", "panic=-1"]
    command += ["root=none", "rootfstype=hostfs", "rootflags=/", "rw"]
    # Without the word console, it would be added behind the arguments.
    command += ["console=tty0", "con0=fd:0,fd:1", "con=null"]
    command += [f"init={sys.executable}", "--", str(INIT), str(job), str(kernel), *arguments]
    with (job / "console").open("wb") as console:
        # A session of its own: the machine is many processes, and all of them go when it hangs.
        machine = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )
        try:
            machine.wait(timeout)
        except subprocess.TimeoutExpired:
            say(f"The machine was not done after {timeout:g} s, and is ended.")
        finally:
            # Also after Ctrl+C, which its session does not get.
            # When it is off, there is nobody.
            with suppress(ProcessLookupError):
                os.killpg(machine.pid, signal.SIGKILL)
            machine.wait()
    code = job / "code"
    return int(code.read_text()) if code.exists() else None


def main() -> int:
    """Build where needed, boot, and show what the tests have said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--is-built", action="store_true", help="say by the exit code whether there is nothing to build"
    )
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="for how long the machine may run, in seconds")
    args, for_pytest = parser.parse_known_args()
    if args.is_built:
        return 0 if is_built() else 1
    kernel = kernel_folder()
    if not is_built():
        build(kernel)
    with tempfile.TemporaryDirectory(prefix="janitoo-kernel-") as job:
        code = boot(kernel, Path(job), for_pytest, args.timeout)
        output, console = Path(job, "output"), Path(job, "console")
        if output.exists():
            print(output.read_text(errors="replace"), end="", flush=True)
        if code is None:
            say(console.read_text(errors="replace").replace("\r", ""))
            say("The machine ended without a result: its console is above.")
            return 1
        return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

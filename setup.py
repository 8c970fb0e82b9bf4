"""Package metadata of Janitoo Actors; the build system and the tools are set in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup


def read_version() -> str:
    """Read the version without importing the package, whose dependencies may not be installed yet.

    Returns:
        The value of ``__version__`` in ``janitoo_actors/__init__.py``.

    Raises:
        RuntimeError: The file does not define ``__version__``.
    """
    source = Path(__file__).parent / "janitoo_actors" / "__init__.py"
    match = re.search(r'^__version__(?:: \w+)? = "([^"]+)"', source.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"no __version__ in {source}")
    return match[1]


BROKER = [
    # Its configuration format still changes between minor versions.
    "amqtt>=0.12,<0.13",
]

# The commands `janitoo console` and `janitoo top`.
CONSOLE = [
    "prompt_toolkit>=3.0.40",
    "rich>=13",
    # What we draw ourselves leans on how it draws.
    "textual>=8,<9",
]

# `metrics_port` in [system].
METRICS = [
    "prometheus_client>=0.20",
]

DEV = [
    "hypothesis>=6.100",
    "mypy>=1.13",
    # A terminal for the tests of the console.
    "pexpect>=4.9",
    # And one to look at the screen of `janitoo top`.
    "pyte>=0.8.2,<0.9",
    "pytest>=8.2",
    # Pykka's own tests use it.
    "pytest-mock>=3.14",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.5",
    # The formatter's style may change with each minor version, and `make test` checks the format.
    "ruff>=0.17,<0.18",
    "types-pexpect>=4.9",
    "types-psutil>=5.9",
]

setup(
    name="janitoo-actors",
    version=read_version(),
    description="A supervised home-automation runtime on Pykka actors and MQTT",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Home Automation",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["supervisors*", "janitoo_actors*", "drivers*"]),
    package_data={
        "supervisors": ["py.typed"],
        "janitoo_actors": ["py.typed", "data/*.json"],
        "drivers": ["py.typed"],
    },
    install_requires=[
        "paho-mqtt>=2.1,<3",
        "psutil>=5.9",
        "pykka>=4.0,<5",
        "structlog>=24.1",
    ],
    extras_require={
        "broker": BROKER,
        "console": CONSOLE,
        "dev": [*DEV, *CONSOLE, *METRICS],
        "metrics": METRICS,
    },
    entry_points={
        "console_scripts": [
            "janitoo = janitoo_actors.commands.main:main",
            "jnt_query = janitoo_actors.commands.main:jnt_query",
            "jnt_spy = janitoo_actors.commands.main:jnt_spy",
            "jnt_collect = janitoo_actors.commands.main:jnt_collect",
        ],
        "janitoo_actors.buses": [
            "hostsensor = drivers.hostsensor:HostsensorBus",
        ],
        "janitoo_actors.components": [
            "hostsensor.load = drivers.hostsensor:Load",
            "hostsensor.uptime = drivers.hostsensor:Uptime",
            "hostsensor.disks = drivers.hostsensor:Disks",
            "hostsensor.processes = drivers.hostsensor:Processes",
            "hostsensor.picpu = drivers.hostsensor:PiCpu",
        ],
    },
)

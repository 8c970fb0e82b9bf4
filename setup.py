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
    # Resolves dependencies for a Python that is not here.
    "uv>=0.5",
]

I2C = ["smbus2>=0.4"]
# Builds with gcc where there is no wheel.
SPI = ["spidev>=3.6"]
ONEWIRE = ["w1thermsensor>=2.0,<3"]
NUT = [
    "nut2>=2.1,<3; python_version < '3.13'",
    # nut2 uses telnetlib, which Python 3.13 has dropped: there, pip cannot even build it, whatever else is installed.
    # This is the same module, by the same name, without telnetlib.
    "nut2-notl>=2.1.3,<3; python_version >= '3.13'",
]
# By the name RPi.GPIO, on any kernel and any Pi, the Pi 5 included. The package RPi.GPIO has the same name and must
# not be beside it: it knows no Pi 5, and no edges from kernel 6.6 on.
GPIO = ["rpi-lgpio>=0.6; sys_platform == 'linux'"]
# It uses lgpio, which has wheels up to Python 3.12; to build it takes swig and the C library lgpio, which cannot be
# asked of every developer.
GPIO_WHEELS = ["rpi-lgpio>=0.6; sys_platform == 'linux' and python_version < '3.13'"]
# It needs libsensors too, which is no package of Python: apt install libsensors5.
LMSENSOR = ["PySensors>=0.0.4"]
HARDWARE = [*I2C, *SPI, *ONEWIRE, *NUT, *LMSENSOR]

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
        "metrics": METRICS,
        "dev": [*DEV, *CONSOLE, *METRICS, *HARDWARE, *GPIO_WHEELS],
        "rpii2c": I2C,
        "rpispi": SPI,
        "rpi1wire": ONEWIRE,
        "rpigpio": GPIO,
        "lmsensor": LMSENSOR,
        "nut": NUT,
        "pi": [*HARDWARE, *GPIO],
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
            "nut = drivers.nut:NutBus",
            "rpi1wire = drivers.onewire:OneWireBus",
            "rpibasic = drivers.dht:BasicBus",
            "rpigpio = drivers.gpio:GpioBus",
            "rpii2c = drivers.i2c:I2cBus",
            "rpispi = drivers.spi:SpiBus",
            "tutorial = drivers.tutorial:TutorialBus",
        ],
        "janitoo_actors.components": [
            "hostsensor.load = drivers.hostsensor:Load",
            "hostsensor.uptime = drivers.hostsensor:Uptime",
            "hostsensor.disks = drivers.hostsensor:Disks",
            "hostsensor.processes = drivers.hostsensor:Processes",
            "hostsensor.picpu = drivers.hostsensor:PiCpu",
            "hostsensor.lmsensor = drivers.hostsensor.lmsensor:LmSensor",
            "nut.ups = drivers.nut:Ups",
            "rpi1wire.ds18b20 = drivers.onewire:Ds18b20",
            "rpi1wire.thermometers = drivers.onewire:Thermometers",
            "rpibasic.dht = drivers.dht:Dht",
            "rpigpio.input = drivers.gpio:Input",
            "rpigpio.led = drivers.gpio:Led",
            "rpigpio.output = drivers.gpio:Output",
            "rpigpio.pir = drivers.gpio:Pir",
            "rpigpio.pwm = drivers.gpio:Pwm",
            "rpigpio.rgb = drivers.gpio:Rgb",
            "rpigpio.servo = drivers.gpio:Servo",
            "rpigpio.sonic = drivers.gpio:Sonic",
            "rpii2c.ads1115 = drivers.i2c:Ads1115",
            "rpii2c.bme280 = drivers.i2c:Bme280",
            "rpii2c.bmp180 = drivers.i2c:Bmp180",
            "rpii2c.bmp280 = drivers.i2c:Bmp280",
            "rpii2c.ina219 = drivers.i2c:Ina219",
            "rpii2c.pca9685 = drivers.i2c:Pca9685",
            "rpii2c.register = drivers.i2c:AnyChip",
            "rpispi.mcp3008 = drivers.spi:Mcp3008",
            "rpispi.mcp3208 = drivers.spi:Mcp3208",
            "rpispi.transfer = drivers.spi:AnyTransfer",
        ],
        "janitoo_actors.network": [
            "webcontrollers = janitoo_actors.network.webcontrollers:extend",
        ],
    },
)

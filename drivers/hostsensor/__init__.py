"""The sensors of the host itself: load, uptime, disks, processes, CPU. On any Linux, with psutil."""

from drivers.hostsensor.bus import HostsensorBus
from drivers.hostsensor.disks import Disks
from drivers.hostsensor.picpu import PiCpu
from drivers.hostsensor.processes import Processes
from drivers.hostsensor.system import Load, Uptime

__all__ = ["Disks", "HostsensorBus", "Load", "PiCpu", "Processes", "Uptime"]

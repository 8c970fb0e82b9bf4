"""The component API: what a driver declares and implements. No actor, thread, lock, topic or INI call in a driver.

A component in full:

    class Load(Component):
        oid = "hostsensor.load"
        name = "Load"
        load = Value("sensor_float", genre=Genre.BASIC, help="The load average", poll_delay=60)

        @load.reader
        def read_load(self, instance: Instance) -> float:
            return os.getloadavg()[0]
"""

from janitoo_actors.api.device import Bus, Component, Device, OptionProblem, OptionsError
from janitoo_actors.api.schema import Applies
from janitoo_actors.api.values import Instance, Instances, Setting, Value
from janitoo_actors.errors import BusLostError, ConfigurationError, PermanentError, TemporaryError
from janitoo_actors.protocol.codes import Capability, CommandClass, Genre, ValueType

__all__ = [
    "Applies",
    "Bus",
    "BusLostError",
    "Capability",
    "CommandClass",
    "Component",
    "ConfigurationError",
    "Device",
    "Genre",
    "Instance",
    "Instances",
    "OptionProblem",
    "OptionsError",
    "PermanentError",
    "Setting",
    "TemporaryError",
    "Value",
    "ValueType",
]

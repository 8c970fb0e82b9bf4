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

from janitoo_actors.api.aggregate import Aggregate
from janitoo_actors.api.background import Background, NotDoneError
from janitoo_actors.api.bus import Bus, Component, Extension
from janitoo_actors.api.claims import DeviceBusyError, Hardware
from janitoo_actors.api.device import Device
from janitoo_actors.api.lines import OptionProblem, OptionsError
from janitoo_actors.api.machine import State, Stateful, Transition
from janitoo_actors.api.options import (
    Bool,
    Choice,
    Duration,
    Line,
    Maybe,
    Memory,
    Names,
    Number,
    OptionType,
    Text,
    Whole,
)
from janitoo_actors.api.places import DevicePath, FilePath, Host, Port, Secret, SecretText
from janitoo_actors.api.runtime import ManualRuntime, Product, Runtime
from janitoo_actors.api.schema import Applies, Option
from janitoo_actors.api.values import Instance, Instances, Setting, Value
from janitoo_actors.api.within import HangingError
from janitoo_actors.errors import BusLostError, ConfigurationError, PermanentError, TemporaryError
from janitoo_actors.protocol.codes import Capability, CommandClass, Genre, ValueType

__all__ = [
    "Aggregate",
    "Applies",
    "Background",
    "Bool",
    "Bus",
    "BusLostError",
    "Capability",
    "Choice",
    "CommandClass",
    "Component",
    "ConfigurationError",
    "Device",
    "DeviceBusyError",
    "DevicePath",
    "Duration",
    "Extension",
    "FilePath",
    "Genre",
    "HangingError",
    "Hardware",
    "Host",
    "Instance",
    "Instances",
    "Line",
    "ManualRuntime",
    "Maybe",
    "Memory",
    "Names",
    "NotDoneError",
    "Number",
    "Option",
    "OptionProblem",
    "OptionType",
    "OptionsError",
    "PermanentError",
    "Port",
    "Product",
    "Runtime",
    "Secret",
    "SecretText",
    "Setting",
    "State",
    "Stateful",
    "TemporaryError",
    "Text",
    "Transition",
    "Value",
    "ValueType",
    "Whole",
]

"""The bus `rpigpio`: what is at the pins of a Raspberry Pi, on RPi.GPIO or rpi-lgpio."""

from drivers.gpio.bus import GpioBus
from drivers.gpio.inputs import Input, Pir
from drivers.gpio.lights import Led, Pwm, Rgb
from drivers.gpio.outputs import Output
from drivers.gpio.servo import Servo
from drivers.gpio.sonic import Sonic

__all__ = ["GpioBus", "Input", "Led", "Output", "Pir", "Pwm", "Rgb", "Servo", "Sonic"]

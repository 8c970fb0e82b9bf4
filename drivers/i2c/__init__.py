"""The bus `rpii2c` and its chips."""

from drivers.i2c.anychip import AnyChip
from drivers.i2c.bosch import Bme280, Bmp180, Bmp280
from drivers.i2c.bus import I2cBus
from drivers.i2c.converters import Ads1115, Ina219
from drivers.i2c.outputs import Pca9685

__all__ = ["Ads1115", "AnyChip", "Bme280", "Bmp180", "Bmp280", "I2cBus", "Ina219", "Pca9685"]

"""From IB's ``smd`` frames to ticks. Pure: no I/O, no clock, no logging."""

from ibfeed_worker.ticks.frame import FIELDS, SmdFrame
from ibfeed_worker.ticks.normaliser import Normaliser, Withheld
from ibfeed_worker.ticks.number import NumberError, NumberReading, read

__all__ = ["FIELDS", "Normaliser", "NumberError", "NumberReading", "SmdFrame", "Withheld", "read"]

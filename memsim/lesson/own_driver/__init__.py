"""A driver that the reader writes: what the kernel offers it, and a harness that plays scripts with it."""

from memsim.lesson.own_driver.api import KernelApi
from memsim.lesson.own_driver.driver import SUB_BLOCK, Driver
from memsim.lesson.own_driver.harness import Drive, drive

__all__ = ["SUB_BLOCK", "Drive", "Driver", "KernelApi", "drive"]

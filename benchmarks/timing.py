"""Interleaved timing: contenders take turns, so that a slow moment of the machine hits all of them."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Timing:
    """Seconds of processor time of one contender."""

    seconds: list[float]

    @property
    def best(self) -> float:
        """The least: what it costs when nothing comes between."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Timing]:
    """Let contenders run in turn; each returns its own seconds (what it prepares does not count)."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            taken[name].append(run())
    return {name: Timing(seconds) for name, seconds in taken.items()}


def timed(work: Callable[[], object]) -> float:
    """Return the processor time of this thread that some work takes.

    Not the time on the clock: on a machine that is shared it says more about the neighbours.
    """
    start = time.thread_time()
    work()
    return time.thread_time() - start


def machine() -> dict[str, str]:
    """Describe the machine that this runs on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.open() if line.startswith("model name")]
        model = models[0] if models else model
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
    }

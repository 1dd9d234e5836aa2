"""What the operating system lets a process use."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import sys
import time
from typing import NamedTuple

_MIB = 1 << 20
_OPEN_FILES = 64
_PENDING_SIGNALS = 64
_CPUCLOCK_SCHED = 2
_READING_SECONDS, _LETTERS_IN_A_SECOND = 2, 100_000
"""Of processor time for any notebook, and how many letters add one more."""


def reading_seconds(cells: list[str]) -> int:
    """Return how much processor time reading cells may take.

    >>> reading_seconds([""]), reading_seconds(["x" * 500_000] * 2)
    (2, 12)
    """
    return _READING_SECONDS + sum(map(len, cells)) // _LETTERS_IN_A_SECOND


class Limited(NamedTuple):
    """The limits of one question: see :class:`memsim.grading.assignment.assignment.Limits`."""

    cpu_seconds: float
    """The kernel counts whole seconds; the worker ends what has used up a part of one."""
    memory_mib: int
    processes: int
    file_mib: int


def limit(to: Limited) -> None:
    """Limit this process and those that it starts."""
    limits = {
        resource.RLIMIT_CPU: (math.ceil(to.cpu_seconds), math.ceil(to.cpu_seconds) + 1),
        resource.RLIMIT_AS: (to.memory_mib * _MIB,) * 2,
        resource.RLIMIT_FSIZE: (to.file_mib * _MIB,) * 2,
        resource.RLIMIT_NOFILE: (_OPEN_FILES,) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_NPROC: (_own_processes() + to.processes,) * 2,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_MSGQUEUE] = (0, 0)
        limits[resource.RLIMIT_SIGPENDING] = (_PENDING_SIGNALS,) * 2
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
            resource.setrlimit(name, value)


def _own_processes() -> int:
    """Return how many processes this user has here; the limit counts them all."""
    mine, count = os.getuid(), 0
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                count += name.isdigit() and os.stat(f"/proc/{name}").st_uid == mine
    return max(count, 2)


def processor_time(pid: int) -> float:
    """Return the seconds that a process has computed, or 0 where they cannot be asked for.

    The number of a process's clock is made of the process's own, as ``clock_getcpuclockid()`` does.
    """
    with contextlib.suppress(OSError):
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    return 0.0


def time_of_children() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kill_others() -> None:
    """Kill every process that this one may kill, but not itself.

    Only where it may kill nothing but the submission's own processes.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)

"""What the driver knows of a device: ``struct virtio_mem`` of ``drivers/virtio/virtio_mem.c``.

The modes keep it in a union: in sub-block mode eight states of a memory block and one bit for each sub-block,
in big-block mode four states of a big block. That record, not the memmap, is what the driver goes by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from memsim.linux.include.layout import PAGE_SHIFT

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from memsim.errors import KernelError
    from memsim.hosts.virtio_mem import VirtioMemHost
    from memsim.linux.include.tracepoint import Trace
    from memsim.state.kernel import Kernel

RESOURCE_NAME = "System RAM (virtio_mem)"
RETRY_TIMER_MIN_SECONDS = 50
RETRY_TIMER_MAX_SECONDS = 300
DEFAULT_OFFLINE_THRESHOLD = 1 << 30 >> PAGE_SHIFT


class MbState(IntEnum):
    """States of a memory block in sub-block mode; a partial state is the full one plus one."""

    UNUSED = 0
    PLUGGED = 1
    OFFLINE = 2
    OFFLINE_PARTIAL = 3
    KERNEL = 4
    KERNEL_PARTIAL = 5
    MOVABLE = 6
    MOVABLE_PARTIAL = 7


class BbState(IntEnum):
    """States of a big block."""

    UNUSED = 0
    PLUGGED = 1
    ADDED = 2
    FAKE_OFFLINE = 3


@dataclass
class SubBlocks:
    """Sub-block mode (``vm->sbm``): a state for each memory block and a bit for each sub-block."""

    sb_pages: int
    mb_pages: int
    first_mb_id: int
    state: dict[int, MbState] = field(default_factory=dict)
    plugged: dict[int, npt.NDArray[np.bool_]] = field(default_factory=dict)
    have_unplugged_mb: bool = False
    """Whether removing a memory block in which nothing is plugged is to be tried again."""

    @property
    def sbs_per_mb(self) -> int:
        """Sub-blocks of a memory block."""
        return self.mb_pages // self.sb_pages

    def blocks(self, state: MbState) -> list[int]:
        """Return the memory blocks in a state, ascending."""
        return sorted(mb_id for mb_id, known in self.state.items() if known == state)

    def pfn(self, mb_id: int, sb_id: int = 0) -> int:
        """Return the first pfn of a sub-block."""
        return mb_id * self.mb_pages + sb_id * self.sb_pages


@dataclass
class BigBlocks:
    """Big-block mode (``vm->bbm``): a state for each big block."""

    bb_pages: int
    first_bb_id: int
    state: dict[int, BbState] = field(default_factory=dict)

    def blocks(self, state: BbState) -> list[int]:
        """Return the big blocks in a state, ascending."""
        return sorted(bb_id for bb_id, known in self.state.items() if known == state)


@dataclass(eq=False)
class VirtioMem:
    """One device, as its driver knows it. All sizes are in pages."""

    kernel: Kernel
    name: str
    host: VirtioMemHost
    mode: SubBlocks | BigBlocks
    offline_threshold: int
    unplug_all_required: bool = False
    """Whether an earlier kernel left memory plugged, of which this one knows nothing."""
    offline_pages: int = 0
    """Pages that are added to Linux and offline."""
    hotplug_active: bool = False
    wq_active: bool = False
    removing: bool = False
    broken: bool = False
    retry_in: int | None = None
    """Seconds until the retry timer fires, or None."""
    retry_timer: int = RETRY_TIMER_MIN_SECONDS
    work_queued: bool = False
    last_error: KernelError | None = None
    memory_notifier: Callable[[str, int, int], int | None] | None = None

    @property
    def trace(self) -> Trace | None:
        """The trace that watches the kernel, or None."""
        return self.kernel.trace

    @property
    def in_sbm(self) -> bool:
        """Whether the device is in sub-block mode."""
        return isinstance(self.mode, SubBlocks)

    @property
    def sbm(self) -> SubBlocks:
        """The record of sub-block mode."""
        return cast("SubBlocks", self.mode)

    @property
    def bbm(self) -> BigBlocks:
        """The record of big-block mode."""
        return cast("BigBlocks", self.mode)


def virtio_mem_devices(kernel: Kernel) -> list[VirtioMem]:
    """Return the virtio-mem devices of a kernel; they share the one online callback."""
    devices: list[VirtioMem] = kernel.driver_data.setdefault("virtio-mem", [])
    return devices


def virtio_mem_contains_range(vm: VirtioMem, start_pfn: int, nr_pages: int) -> bool:
    """Return whether a range lies in the device's region."""
    start = vm.host.start_pfn
    return start <= start_pfn and start_pfn + nr_pages <= start + vm.host.region_pages


def virtio_mem_could_add_memory(vm: VirtioMem, nr_pages: int) -> bool:
    """Return whether more memory may be added without too much of it being offline."""
    return vm.offline_pages + nr_pages <= vm.offline_threshold


def virtio_mem_retry(vm: VirtioMem) -> None:
    """Queue the work queue; it runs when the machine is idle."""
    if not vm.removing:
        vm.work_queued = True

"""A booted machine: the operations of a user, an administrator or a test on a kernel.

>>> machine = Machine(ram=[(0, 131072)])
>>> machine.add_memory(0x100000, 32768)
>>> machine.online(32, "online_movable")
True
>>> machine.zone("Movable").managed_pages
32768
>>> machine.page(0x100000).buddy, machine.page(0x100000).order
(True, 10)
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from memsim.devices import DEVICE_KINDS
from memsim.errors import KernelBug, KernelError
from memsim.fast import register_shortcuts
from memsim.linux.arch.x86.mm.init_64 import probe_memory_block_size
from memsim.linux.drivers.base.memory.blocks import MemoryBlock, find_memory_block, memory_dev_init
from memsim.linux.drivers.base.memory.notifier import register_memory_notifier
from memsim.linux.drivers.base.memory.sysfs import state_store
from memsim.linux.drivers.base.node import register_node_notifier
from memsim.linux.include.layout import PAGE_SHIFT
from memsim.linux.include.mmzone import MigrateType, Zone, ZoneType
from memsim.linux.include.page_flags import PageFlag
from memsim.linux.init.main import start_kernel
from memsim.linux.mm.memblock import memblock_free_late
from memsim.linux.mm.memory_failure import memory_failure
from memsim.linux.mm.memory_hotplug.add import add_memory, offline_and_remove_memory, remove_memory
from memsim.linux.mm.memory_hotplug.online import mhp_supports_memmap_on_memory
from memsim.linux.mm.memremap import memremap_pages
from memsim.linux.mm.migrate import free_lru_page, prep_lru_page
from memsim.linux.mm.page_alloc.api import __free_pages, alloc_pages, free_reserved_page
from memsim.machine.arguments import (
    block_id_of,
    check_block_pages,
    check_devices,
    check_memory,
    check_online_type,
    check_order,
    check_pages_of,
    check_pfn,
    check_pfns,
    check_range,
    parse_migratetype,
    ranges_of,
    zone_type_of,
)
from memsim.machine.invariants import Violation, check
from memsim.patch import AFTER, Patch
from memsim.release import release_named
from memsim.state.kernel import Kernel
from memsim.state.ranges import id_ranges
from memsim.state.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from memsim.linux.drivers.base.memory.notifier import Listener
    from memsim.linux.drivers.base.node import NodeListener
    from memsim.machine.boot_memory import Reservation
    from memsim.state.page import Page

P = ParamSpec("P")
R = TypeVar("R")


def _then_devices_run(
    operation: Callable[Concatenate[Machine, P], R],
) -> Callable[Concatenate[Machine, P], R]:
    """Run the threads of drivers (the Xen balloon has one) after an operation."""

    @functools.wraps(operation)
    def call(machine: Machine, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return operation(machine, *args, **kwargs)
        finally:
            if machine.devices_run:
                for device in machine.devices.values():
                    device.run()

    return cast("Callable[Concatenate[Machine, P], R]", call)


def _with_device_hotplug_lock(
    operation: Callable[Concatenate[Machine, P], R],
) -> Callable[Concatenate[Machine, P], R]:
    """Hold ``device_hotplug_lock`` during an operation."""

    @functools.wraps(operation)
    def call(machine: Machine, *args: P.args, **kwargs: P.kwargs) -> R:
        with machine.device_hotplug_lock(f"{operation.__name__}()"):
            return operation(machine, *args, **kwargs)

    return cast("Callable[Concatenate[Machine, P], R]", call)


free_pages = __free_pages
DEFAULT_PATIENCE = 50


class Users:
    """The pages that steps of a scenario hold, so that later steps can give them back."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.allocated: list[list[int]] = []
        """The pfns of each ``allocate`` step; migration updates them."""
        self.lent: list[int] = []
        """The pfns that a Xen balloon lent."""
        self.pinned: list[tuple[int, int]] = []
        """(block, pfn) of each page that a ``pin`` step pinned."""


class Machine:
    """A machine with RAM on which a kernel (release, patch) has booted.

    Its devices are those of the kernel. A driver of your own calls a
    :class:`~memsim.lesson.own_driver.api.KernelApi` of the machine, as in chapter 18.

    Parameters
    ----------
    ram
        (start_pfn, nr_pages) of each range of boot memory.
    patch
        The hunks of the series that the kernel has: a :class:`~memsim.patch.Patch`, or its arguments,
        such as ``"before"`` or ``"MM_INIT, PAGE_ALLOC"``; ``AFTER`` by default.
    release
        ``"6.12"``, ``"6.1"``, ``"6.11"`` or ``"7.3"``: everything that differs for other reasons.
    reserved
        (start_pfn, nr_pages) of memory that boot code keeps (kernel image, initrd). All other boot memory
        is free.
    boot_reservations
        Whether the kernel also keeps what a kernel of this release keeps on x86-64: its image, the memmap of
        boot memory, hash tables and more; see :mod:`memsim.machine.boot_memory`. Off by default: a machine
        has then more free memory than a real one, and a hot-add that fails there with ENOMEM may work here.
    crashkernel_pages
        With ``boot_reservations``: the pages that ``crashkernel=`` sets aside.
    kernelcore_pages, movablecore_pages
        The pages that ``kernelcore=`` or ``movablecore=`` asks for; 0 is neither. The end of boot memory is
        in ZONE_MOVABLE then.
    block_pages
        Pages of a memory block; None lets the kernel choose from the end of RAM.
    default_online_type
        What happens to blocks as they are added (``auto_online_blocks``).
    memmap_on_memory
        Whether hotplugged blocks hold their own struct pages where they can.
    devices
        Devices as a scenario gives them: ``{"kind": "virtio-mem", "name": "vm0", ...}``; in
        ``machine.devices`` by name. See :mod:`memsim.linux.drivers`.
    per_cpu_lists, watermarks
        Whether freed pages stay on per-cpu lists, and whether allocations respect the watermarks. Off by
        default: see :mod:`memsim.linux.mm.page_alloc.api`.
    debug_vm
        Whether CONFIG_DEBUG_VM checks are compiled in; Debian ships kernels without them.
    check_pages
        Whether the kernel checks the state of each page that is freed or allocated. On by default, as in
        the kernels that Debian ships: CONFIG_INIT_ON_ALLOC_DEFAULT_ON turns the checks on in 6.12. Off is
        a kernel with ``init_on_alloc=0``. ``debug_vm`` implies the checks, and 6.1 always makes them.
    record
        Whether ``tape`` records from power-on; :meth:`record` starts one later.
    """

    def __init__(  # noqa: PLR0913 (a keyword for each option of a machine)
        self,
        ram: Iterable[tuple[int, int]] = ((0, 131072),),
        patch: Patch | str = AFTER,
        release: str = "6.12",
        *,
        reserved: Iterable[tuple[int, int]] = (),
        boot_reservations: bool = False,
        crashkernel_pages: int = 0,
        kernelcore_pages: int = 0,
        movablecore_pages: int = 0,
        block_pages: int | None = None,
        default_online_type: str = "offline",
        memmap_on_memory: bool = False,
        devices: Iterable[Mapping[str, Any]] = (),
        per_cpu_lists: bool = False,
        watermarks: bool = False,
        debug_vm: bool = False,
        check_pages: bool = True,
        record: bool = False,
    ) -> None:
        """Boot."""
        devices = check_devices(devices)
        ram = sorted(ranges_of("ram", ram))
        reserved = check_memory(ram, ranges_of("reserved", reserved), devices)
        self.boot_reservations: list[Reservation] = []
        """What ``boot_reservations`` keeps of boot memory, ascending; empty without it."""
        if boot_reservations:
            from memsim.machine.boot_memory import boot_reservations as keep_boot_memory  # noqa: PLC0415 (slow, and rare)

            self.boot_reservations = keep_boot_memory(ram, release, crashkernel_pages=crashkernel_pages)
            reserved += [(each.start_pfn, each.nr_pages) for each in self.boot_reservations]
        register_shortcuts(spec["kind"] for spec in devices)
        self.kernel = Kernel(release_named(release), Patch(patch), debug_vm=debug_vm, check_pages=check_pages)
        self.kernel.block_pages = check_block_pages(block_pages or probe_memory_block_size(sum(ram[-1])))
        self.kernel.default_online_type = check_online_type(default_online_type)
        self.kernel.required_kernelcore = check_pages_of("kernelcore_pages", kernelcore_pages)
        self.kernel.required_movablecore = check_pages_of("movablecore_pages", movablecore_pages)
        self.memmap_on_memory = memmap_on_memory
        self.kernel.per_cpu_lists = per_cpu_lists
        self.kernel.watermarks = watermarks
        self.tape: Tape | None = None
        if record:
            self.record()
        start_kernel(self.kernel, ram, reserved)
        memory_dev_init(self.kernel)
        self.devices: dict[str, Any] = {
            spec["name"]: DEVICE_KINDS[spec["kind"]].make(self.kernel, dict(spec)) for spec in devices
        }
        self.devices_run = True
        """Whether the threads of drivers run after each operation."""
        self.boot_totalram_pages = self.kernel.state.totalram_pages
        self.users = Users()
        self._holds_device_hotplug_lock = ""

    # ---- looking -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        """Show the kernel, the size of the memory, and the blocks by state.

        >>> Machine([(0, 131072)], "before")
        Machine(6.12, before the patch, 512 MiB, blocks 0-3 online)
        """
        states: dict[str, list[int]] = {}
        for number, block in self.blocks.items():
            states.setdefault(block.state, []).append(number)
        blocks = ", ".join(f"{id_ranges(ids)} {state}" for state, ids in states.items())
        mebibytes = sum(block.nr_pages for block in self.blocks.values()) >> (20 - PAGE_SHIFT)
        return f"Machine({self.kernel.describe()}, {mebibytes} MiB, blocks {blocks})"

    def copy(self) -> Machine:
        """Return an independent machine in the same state, to experiment on.

        It has no tape. Listeners that are plain functions receive the events of both machines.
        """
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Machine:
        """Copy for :mod:`copy`: see :meth:`copy`."""
        twin = Machine.__new__(Machine)
        memo[id(self)] = twin
        vars(twin).update({name: deepcopy(value, memo) for name, value in self._at_rest().items()})
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a copy, which nothing watches."""
        return object.__new__, (Machine,), vars(self.copy())

    def _at_rest(self) -> dict[str, Any]:
        """Return what a copy has: nothing watches it, and what runs on this machine does not run on it."""
        return vars(self) | {"tape": None, "_holds_device_hotplug_lock": ""}

    @property
    def blocks(self) -> dict[int, MemoryBlock]:
        """The memory blocks by number, ascending."""
        return dict(sorted(self.kernel.memory_blocks.items()))

    @property
    def zones(self) -> dict[str, Zone]:
        """The zones by the names that /proc/zoneinfo uses, the empty ones too."""
        return {zone.name: zone for zone in self.kernel.zones}

    @property
    def log(self) -> list[str]:
        """The kernel log."""
        return self.kernel.state.log

    @property
    def totalram_pages(self) -> int:
        """MemTotal, in pages."""
        return self.kernel.state.totalram_pages

    def zone(self, name: str | ZoneType) -> Zone:
        """Return a zone: ``"Movable"`` as in /proc/zoneinfo, or ``"ZONE_MOVABLE"``.

        Raises
        ------
        MemsimError
            There is no zone of this name; the message lists the zones.
        """
        return self.kernel.zone(zone_type_of(name))

    def page(self, pfn: int) -> Page:
        """Return the struct page of a pfn, decoded; BadPage if its section is not online."""
        return self.kernel.memmap.page(check_pfn(pfn))

    def block(self, block_id: int | str) -> MemoryBlock:
        """Return a memory block by its number or its name in sysfs; KernelError ENOENT if there is none."""
        return find_memory_block(self.kernel, block_id_of(block_id))

    def check(self) -> list[Violation]:
        """Return the invariants that do not hold now, each with the first page that breaks it."""
        return check(self.kernel)

    def record(self, most_of_step: int | None = None) -> Tape:
        """Start a tape and return it; it runs until :meth:`stop_recording`.

        With ``most_of_step`` it shortens the steps that have more events: see
        :class:`~memsim.state.tape.Tape`.
        """
        self.tape = Tape(self.kernel.state, most_of_step, self.kernel.put_trace)
        self.kernel.put_trace(self.tape)
        return self.tape

    def stop_recording(self) -> None:
        """Stop the running trace."""
        if self.tape is not None:
            self.tape.fill_gap()
        self.kernel.put_trace(None)

    def export(self, directory: Path | str) -> None:
        """Write /proc and /sys of this machine below a directory: see :func:`memsim.machine.export.export`.

        Unmodified programs can read it: ``lsmem --sysroot``, psutil with its PROCFS_PATH.
        """
        fs = import_module("memsim.machine.export")  # only who exports waits for what it imports
        fs.export(self.kernel, directory, self.kernel.default_online_type)

    # ---- memory hotplug ----------------------------------------------------------------------

    @contextmanager
    def device_hotplug_lock(self, what: str) -> Iterator[None]:
        """Hold the lock that all operations of memory hotplug take (``lock_device_hotplug()``).

        Raises
        ------
        KernelBug
            It is held already: ``what`` was called by a listener or callback, for which its holder waits.
        """
        if holder := self._holds_device_hotplug_lock:
            msg = (
                f"{what} waits for device_hotplug_lock, which {holder} holds until this listener or callback "
                "returns: the kernel hangs (lock_device_hotplug(), drivers/base/core.c)"
            )
            raise KernelBug(msg)
        self._holds_device_hotplug_lock = what
        try:
            yield
        finally:
            self._holds_device_hotplug_lock = ""

    @_then_devices_run
    @_with_device_hotplug_lock
    def add_memory(self, start_pfn: int, nr_pages: int, *, name: str = "System RAM", nid: int = 0) -> None:
        """Plug a DIMM: see :func:`memsim.linux.drivers.base.memory.blocks.add_memory`.

        As the ACPI driver does, ask for self-hosted vmemmap only where the kernel supports it.
        """
        check_range(start_pfn, nr_pages)
        self_hosted = self.memmap_on_memory and mhp_supports_memmap_on_memory(self.kernel, nr_pages)
        add_memory(
            self.kernel,
            start_pfn,
            nr_pages,
            name=name,
            memmap_on_memory=self_hosted,
            nid=nid,
        )

    @_then_devices_run
    @_with_device_hotplug_lock
    def remove_memory(self, start_pfn: int, nr_pages: int) -> None:
        """Unplug a DIMM whose blocks are offline; KernelError if one is not."""
        check_range(start_pfn, nr_pages)
        remove_memory(self.kernel, start_pfn, nr_pages)

    @_then_devices_run
    @_with_device_hotplug_lock
    def online(self, block_id: int | str, online_type: str = "online") -> bool:
        """Write ``online_type`` to a block's state; return True.

        Raises
        ------
        KernelError
            EINVAL: the block is online already. Else what
            :func:`memsim.linux.drivers.base.memory.blocks.memory_block_online` fails with.
        """
        check_online_type(online_type)
        state_store(self.kernel, self.block(block_id), online_type)
        return True

    @_then_devices_run
    @_with_device_hotplug_lock
    def offline(self, block_id: int | str, *, patience: int = DEFAULT_PATIENCE) -> bool:
        """Write ``offline`` to a block's state; return True.

        After ``patience`` rounds of scanning and migrating the user presses Ctrl-C; the kernel itself
        would try forever.

        Raises
        ------
        KernelError
            EINVAL: the block is offline already. Else what
            :func:`memsim.linux.mm.memory_hotplug.offline.offline_pages` fails with.
        """
        with self._losing_patience_after(patience):
            state_store(self.kernel, self.block(block_id), "offline")
        return True

    @_then_devices_run
    @_with_device_hotplug_lock
    def offline_and_remove_memory(
        self, start_pfn: int, nr_pages: int, *, patience: int = DEFAULT_PATIENCE
    ) -> None:
        """Set a DIMM offline and unplug it, or leave it as it was."""
        check_range(start_pfn, nr_pages)
        with self._losing_patience_after(patience):
            offline_and_remove_memory(self.kernel, start_pfn, nr_pages)

    @contextmanager
    def _losing_patience_after(self, rounds: int) -> Iterator[None]:
        left, nobody = iter(range(rounds)), self.kernel.signal_pending
        self.kernel.signal_pending = lambda: next(left, None) is None
        try:
            yield
        finally:
            self.kernel.signal_pending = nobody

    def memremap_pages(
        self, start_pfn: int, nr_pages: int, kind: str = "generic", *, altmap: bool = False
    ) -> None:
        """Map device memory: see :func:`memsim.linux.mm.memremap.memremap_pages`."""
        memremap_pages(self.kernel, start_pfn, nr_pages, kind, altmap=altmap)

    def poison(self, pfn: int) -> None:
        """Report a memory error in a page: see :func:`memsim.linux.mm.memory_failure.memory_failure`."""
        memory_failure(self.kernel, pfn)

    def register_memory_notifier(self, listener: Listener, priority: int = 0) -> None:
        """Add a listener to the memory notifier chain."""
        register_memory_notifier(self.kernel, listener, priority)

    def register_node_notifier(self, listener: NodeListener, priority: int = 0) -> None:
        """Add a listener to the node notifier chain: it hears of node 0's first and last memory (7.3)."""
        register_node_notifier(self.kernel, listener, priority)

    def wait(self, seconds: int) -> None:
        """Let simulated time pass for all devices: retry timers fire, sleeping threads wake."""
        for device in self.devices.values():
            device.wait(seconds)

    # ---- users of memory ---------------------------------------------------------------------

    def allocate(
        self,
        nr_pages: int = 1,
        migratetype: str = "movable",
        *,
        order: int = 0,
        block: int | str | None = None,
    ) -> list[int]:
        """Allocate pages and return their pfns, in a list that migration updates.

        Movable pages are user pages on the LRU; of order 9 they are huge pages, given by their head.
        ``block`` confines the allocation to a memory block. No ordinary request can do that, but a scenario
        needs to say where a page is.

        Raises
        ------
        KernelError
            ENOMEM: not enough free pages; what was already allocated is freed again.
        """
        check_order(order)
        kind = parse_migratetype(migratetype)
        within = None
        if block is not None:
            where = self.block(block)
            within = range(where.start_pfn, where.start_pfn + where.nr_pages)
        pfns: list[int] = []
        for _ in range(nr_pages):
            try:
                pfn = alloc_pages(self.kernel, order, kind, within)
            except KernelError:
                self.free(pfns, order=order)
                raise
            pfns.append(pfn)
            if kind == MigrateType.MOVABLE:
                prep_lru_page(self.kernel, pfn, order)
                self.kernel.owners[pfn] = pfns
        return pfns

    def free_reserved_page(self, pfn: int) -> None:
        """Free a page that boot code kept, as the kernel does with its own init code."""
        free_reserved_page(self.kernel, pfn)

    def memblock_free_late(self, start_pfn: int, nr_pages: int) -> None:
        """Free memory that boot code kept (``reserved``), as late boot code does."""
        memblock_free_late(self.kernel, start_pfn, nr_pages)

    def pin(self, block: int | str) -> int:
        """Allocate a movable page of a block and pin it; return its pfn.

        The user of a pinned page (O_DIRECT, RDMA, a guest's passed-through device) holds a reference
        without a limit in time. Such a page cannot be migrated, and its block does not go offline before
        :meth:`unpin`.

        Raises
        ------
        KernelError
            ENOMEM: no page of the block is free. ENOENT: there is no such block.
        """
        (pfn,) = self.allocate(1, "movable", block=block)
        self.kernel.memmap.set_refcount(pfn, 1, 2)
        return pfn

    def unpin(self, pfn: int) -> None:
        """Drop the reference of a pinned page, and free the page."""
        self.kernel.memmap.set_refcount(check_pfn(pfn), 1, 1)
        self.free([pfn])

    def free(self, pfns: list[int], *, order: int = 0) -> None:
        """Free what :meth:`allocate` returned (with the same order); the list is empty afterwards.

        Raises
        ------
        BadPage
            A pfn has no struct page. Nothing is freed then.
        """
        for pfn in check_pfns(pfns):
            self.kernel.memmap.flags(check_pfn(pfn))
        on_lru = int(PageFlag.LRU)
        while pfns:
            pfn = pfns.pop()
            self.kernel.owners.pop(pfn, None)
            if self.kernel.memmap.flags(pfn) & on_lru:
                free_lru_page(self.kernel, pfn)
            else:
                free_pages(self.kernel, pfn, order)

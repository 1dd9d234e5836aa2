"""The global variables of a running kernel.

:class:`~memsim.state.state.State` is everything that an event of the tape can change; :class:`Kernel` adds
what stays (release, patch) and what calls back (notifiers, the online page callback). Models of kernel
functions take the kernel as their first argument.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.mmzone import ZONELISTS, Zone, ZoneType
from memsim.state.memmap import Memmap
from memsim.state.recording import watch
from memsim.state.state import State
from memsim.state.trace import SHORTCUTS, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.linux.include.tracepoint import Trace
    from memsim.patch import Hunk, Patch
    from memsim.release import Release


class Resources(dict[int, tuple[int, str]]):
    """System RAM resources: start pfn -> (pages, name). They do not overlap; bisection finds them."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self._starts: list[int] = []
        self.mergeable: set[int] = set()
        """Starts of resources that may be merged with neighbours (IORESOURCE_SYSRAM_MERGEABLE)."""

    def __setitem__(self, start: int, resource: tuple[int, str]) -> None:
        """Add or change a resource."""
        if start not in self:
            insort(self._starts, start)
        super().__setitem__(start, resource)

    def __delitem__(self, start: int) -> None:
        """Remove a resource."""
        super().__delitem__(start)
        self.mergeable.discard(start)
        del self._starts[bisect_left(self._starts, start)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by adding the resources again."""
        return Resources, (), {"mergeable": self.mergeable}, None, iter(self.items())

    def overlapping(self, pfn: int, nr_pages: int) -> list[tuple[int, int, str]]:
        """Return (start, pages, name) of the resources that share a page with a range, ascending."""
        first = max(0, bisect_right(self._starts, pfn) - 1)
        last = bisect_left(self._starts, pfn + nr_pages)
        found = [(start, *self[start]) for start in self._starts[first:last]]
        return [each for each in found if each[0] + each[1] > pfn]


def no_signal() -> bool:
    """Return False: no signal is pending for the current task."""
    return False


def nothing_more(_pfn: int, _reason: str) -> None:
    """Do nothing."""


class Kernel:
    """A kernel: release, patch, configuration, state, and callbacks.

    Attributes
    ----------
    asked
        The hunks that a model has asked for. With or without another hunk, all would have gone the same way.
    """

    asked: set[Hunk]

    def __init__(
        self, release: Release, patch: Patch, *, debug_vm: bool = False, check_pages: bool = True
    ) -> None:
        """Make a kernel that has not booted yet."""
        self.release = release
        self.patch, self.asked = patch, set()
        self.debug_vm = debug_vm
        self.check_pages = check_pages or debug_vm or release.always_checks_freed_pages
        """``check_pages_enabled``: pages are checked when they are freed and allocated."""
        memmap = Memmap(release.encoding, debug_vm=debug_vm)
        self.state = State(memmap, [Zone(kind) for kind in ZoneType])
        self.memmap = memmap
        self.zones = self.state.zones
        self.zonelists = {kind: [self.zones[zone] for zone in zones] for kind, zones in ZONELISTS.items()}
        self.trace: Trace | None = None
        self.block_pages = PAGES_PER_SECTION
        self._per_cpu_lists = self._watermarks = False
        self._choose_shortcuts()
        self.managed_at_setup = [0 for _ in self.zones]
        """``managed_pages`` of each zone when watermarks and reserves were last computed."""
        self.pcp_disabled: set[Zone] = set()
        """Zones whose per-cpu lists are disabled while they lose memory."""
        self.online_page_callback: Callable[[Kernel, int, int], None] | None = None
        """None: generic_online_page()."""
        self.memory_chain: list[tuple[int, Callable[[str, int, int], int | None]]] = []
        """(priority, listener), highest priority first."""
        self.node_chain: list[tuple[int, Callable[[str, int], int | None]]] = []  # 7.3
        self.memory_blocks: dict[int, Any] = {}
        self.iomem = Resources()
        self.vmemmap: dict[int, int] = {}
        """Section number -> pfn of the 2 MiB that hold its struct pages, when taken from the buddy."""
        self.vmemmap_base_pages: dict[int, list[int]] = {}
        """Section number -> a page table and the single pages that hold its struct pages."""
        self.stored_migratetypes: dict[int, int] = {}
        """Where isolation is a bit: first pfn of an isolated pageblock -> the type it keeps."""
        self.owners: dict[int, list[int]] = {}
        """Movable page -> its owner's list of pages, in which migration writes the new pfn."""
        self.default_online_type = "offline"
        self.required_kernelcore = self.required_movablecore = 0
        """Pages that ``kernelcore=`` and ``movablecore=`` ask for; 0: not given."""
        self.driver_data: dict[str, Any] = {}
        """The state of each driver, by the driver's name."""
        self.pagemaps: dict[int, int] = {}
        """Device memory: first pfn -> pages."""
        self.migration_failures = 0
        """How many pages were printed that could not be isolated or migrated."""
        self.panic_on_unrecoverable_memory_failure = False
        """The sysctl of this name in /proc/sys/vm (7.3)."""
        self.warned: set[str] = set()
        self.num_poisoned_pages = self.bad_pages = 0
        self.at_bad_page: Callable[[int, str], None] = nothing_more
        """Called with the pfn and the reason of each page that bad_page() prints, before it is changed."""
        self.signal_pending: Callable[[], bool] = no_signal

    def __deepcopy__(self, memo: dict[int, Any]) -> Kernel:
        """Copy for :mod:`copy`: nothing watches the copy. Listeners that are plain functions are shared."""
        twin = Kernel.__new__(Kernel)
        memo[id(self)] = twin
        memo[id(self.trace)] = None
        twin.state = deepcopy(self.state, memo)
        vars(twin).update({name: deepcopy(value, memo) for name, value in vars(self).items()})
        twin.memmap.debug_vm = self.debug_vm
        twin.put_trace(None)
        return twin

    @property
    def per_cpu_lists(self) -> bool:
        """Whether freed pages stay on per-cpu lists."""
        return self._per_cpu_lists

    @per_cpu_lists.setter
    def per_cpu_lists(self, on: bool) -> None:
        self._per_cpu_lists = on
        self._choose_shortcuts()

    @property
    def watermarks(self) -> bool:
        """Whether allocations respect the watermarks."""
        return self._watermarks

    @watermarks.setter
    def watermarks(self, on: bool) -> None:
        self._watermarks = on
        self._choose_shortcuts()

    def _choose_shortcuts(self) -> None:
        """Choose the shortcuts that this kernel may take: none where it is watched or checked."""
        usable = {} if self.debug_vm else SHORTCUTS
        if self.trace is not None:
            usable = {name: usable[name] for name in self.trace.unwatched & usable.keys()}
        self.shortcuts: dict[str, Callable[..., Any]] = {
            name: each.function for name, each in usable.items() if each.suits(self)
        }

    def describe(self) -> str:
        """Return release and patch in words: ``6.12, before the patch``."""
        name = self.patch.name
        side = f"{name} the patch" if name in {"before", "after"} else f"with {name} only"
        return f"{self.release}, {side}"

    def __repr__(self) -> str:
        """Show release and patch."""
        return f"Kernel({self.describe()})"

    def has(self, hunk: Hunk) -> bool:
        """Return whether a hunk of the series is applied, and remember that a model asked for it."""
        self.asked.add(hunk)
        return hunk in self.patch

    def zone(self, zone_type: int) -> Zone:
        """Return a zone by its number (:class:`~memsim.linux.include.mmzone.ZoneType`)."""
        try:
            return self.zones[zone_type]
        except (TypeError, IndexError):
            message = f"zone {zone_type!r}: a kernel numbers its zones; Machine.zone() takes names"
            raise MemsimError(message) from None

    def page_zone(self, pfn: int) -> Zone:
        """Return the zone that the page's flags name (``page_zone()``)."""
        return self.zones[self.memmap.zone_of(pfn)]

    def moved(self, pfn: int, target: int) -> None:
        """Write the new pfn ``target`` of a page into its owner's list (reverse mapping)."""
        owner = self.owners.pop(pfn, None)
        if owner is not None:
            owner[owner.index(pfn)] = target
            self.owners[target] = owner

    def lost(self, pfn: int) -> None:
        """Remove a page from its owner's list: its contents are lost."""
        owner = self.owners.pop(pfn, None)
        if owner is not None:
            owner.remove(pfn)

    def put_trace(self, trace: Trace | None) -> None:
        """Report events to ``trace`` from now on; None: report nothing."""
        self.trace = trace
        watch(self.state, None if isinstance(trace, Probe) else trace)  # a probe heeds no writes
        self._choose_shortcuts()

    def vm_warn_on_once(self, rule: str, where: str) -> None:
        """``VM_WARN_ON_ONCE``: with debug_vm the first breach of a rule is printed."""
        if self.debug_vm and rule not in self.warned:
            self.warned.add(rule)
            self.state.printk(f"WARNING: {rule} at {where}")

    def print_once(self, line: str) -> None:
        """Print a line to the log unless it is there already."""
        if line not in self.warned:
            self.warned.add(line)
            self.state.printk(line)

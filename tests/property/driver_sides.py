"""One kernel that a script is run on: what must be alike on both sides, and what a driver has in its books.

*Books* are what a driver knows by itself: bitmap, regions, list. Every present page is either counted as
managed, or somebody has it in his books, and then the state table says what it looks like. A page of neither
kind is lost.
"""

import numpy as np

from memsim.errors import KernelError
from memsim.linux.drivers.hv.hv_balloon.region import backed_parts
from memsim.linux.drivers.virtio.virtio_mem.state import MbState, SubBlocks
from memsim.linux.include.mmzone import COUNTERS
from memsim.linux.include.page_flags import MANAGED, PRESENT, PageFlag, PageType
from memsim.patch import Hunk
from memsim.scenario.scenario import Run
from memsim.state.kernel import Kernel

from ..unit.state_table import rows  # noqa: TID252 (tests are no package that could be imported)

N = 32768
TABLE = {
    key: values
    for kind in ("virtio-mem", "hv-balloon", "xen-balloon", None)
    for key, values in rows(kind).items()
}
NOT_FROM_HOTPLUG = "X6, not from hotplug"
"""A lent page that Xen took from the buddy: none of the patch's business, so it looks like X6 after it."""
for version in ("before", "after"):
    TABLE[NOT_FROM_HOTPLUG, version] = TABLE["X6", "after"]


def looks_like(memmap, pages, row, version):
    """Return which pages look as a row of the state table says."""
    reserved, kind, dirty, hosted, refcount, _, managed, present = TABLE[row, version]
    wanted = (reserved, dirty, hosted, managed, present)
    bits = (PageFlag.RESERVED, PageFlag.DIRTY, PageFlag.VMEMMAP_SELF_HOSTED, MANAGED, PRESENT)
    mask, value = (
        sum(map(int, bits)),
        sum(int(bit) for bit, one in zip(bits, wanted, strict=True) if one == "1"),
    )
    right = pages.flags & np.uint32(mask) == np.uint32(value)
    right &= memmap.encoding.where(pages.type, PageType.OFFLINE) == (kind == "offline")
    right &= ~memmap.encoding.where(pages.type, PageType.BUDDY)
    return right & (pages.refcount == int(refcount))


def told(value, above=()):
    """Return all that an object of a driver knows, as plain values that can be compared."""
    if isinstance(value, Kernel) or callable(value) or id(value) in above:
        return None
    above = (*above, id(value))
    if isinstance(value, np.ndarray | KernelError):
        return value.tobytes() if isinstance(value, np.ndarray) else value.name
    if isinstance(value, list | tuple) and not (value and isinstance(value[0], int)):
        return [told(part, above) for part in value]
    if hasattr(value, "__dict__") and not isinstance(value, int):
        value = vars(value)
    return {key: told(part, above) for key, part in value.items()} if isinstance(value, dict) else value


class Side:
    """One kernel, and a scenario that is run on it step by step."""

    def __init__(self, scenario, patch, release, *, debug_vm=False):
        self.run = Run(scenario, scenario.boot(patch, release, debug_vm=debug_vm))
        self.machine = self.run.machine
        self.kernel = self.machine.kernel
        self.device = next(iter(self.machine.devices.values()))
        self.kind = scenario.machine["devices"][0]["kind"]
        self.told = 0

    def do(self, number):
        """Do a step; return the errno that it ends with, or ``died``."""
        outcome = self.run.do_step(number)
        return "died" if outcome is None else outcome.errno

    def news(self):
        """Return the lines that the kernel printed since this was asked the last time."""
        lines = self.machine.log[self.told :]
        self.told = len(self.machine.log)
        return lines

    def sections(self):
        """Return the online sections by number."""
        return {nr: section for nr, section in self.kernel.memmap.sections.items() if section.online}

    # ---- what must be alike ----------------------------------------------------------------------

    def figures(self):
        """Return what is alike even where one side migrated pages before it refused to offline a block.

        Migration may move free pages from zone to zone, but not from or to anywhere else.
        """
        state = self.kernel.state
        names = [name for name in COUNTERS if name != "nr_free_pages"]
        return {
            "zones": [{name: getattr(zone, name) for name in names} for zone in state.zones],
            "free": sum(zone.nr_free_pages for zone in state.zones),
            "totalram": state.totalram_pages,
            "blocks": {
                number: (block.state, block.zone and block.zone.name, block.nr_vmemmap_pages)
                for number, block in self.kernel.memory_blocks.items()
            },
            "iomem": self.kernel.iomem,
            "plugged": self.device.plugged_pages(),
        }

    def placement(self):
        """Return which page is where: free lists in order, pageblocks, who has what, and the device."""
        zones = self.kernel.state.zones
        return {
            "free": [zone.nr_free_pages for zone in zones],
            "free lists": [[[list(blocks) for blocks in area] for area in zone.free_area] for zone in zones],
            "watermarks": [zone.watermark for zone in zones],
            "pageblocks": {nr: bytes(section.pageblocks) for nr, section in self.sections().items()},
            "allocated": self.machine.users.allocated,
            "lent": self.machine.users.lent,
            "memmaps": self.kernel.vmemmap,
            "device": told(self.device),
        }

    # ---- the books -------------------------------------------------------------------------------

    def books(self, nr, section):
        """Return {rows of the state table: which pages of a section are kept from the buddy}."""
        hosted = np.arange(N) < self.kernel.memory_blocks[nr].nr_vmemmap_pages
        return {("M3",): hosted} | BOOKS[self.kind](self, nr * N, section, ~hosted)

    def wrong(self):
        """Return what is wrong with this side alone: a broken invariant, or books that are not kept."""
        found = [str(violation) for violation in self.machine.check()]
        for nr, section in self.sections().items():
            found += self.lost(nr, section)
        return [*found, *self.miscounted()]

    def lost(self, nr, section):
        """Return what the pages of a section and the books do not agree about."""
        pages, memmap = section.pages, self.kernel.memmap
        books = self.books(nr, section)
        keepers = sum(mask.astype(int) for mask in books.values())
        managed, present = (pages.flags & np.uint32(ghost) != 0 for ghost in (MANAGED, PRESENT))
        faults = {
            "are neither managed nor kept by anybody": present & ~managed & (keepers == 0),
            "are managed, and kept by somebody too": managed & (keepers > 0),
            "are kept by two": keepers > 1,
            "are managed and reserved": managed & (pages.flags & np.uint32(PageFlag.RESERVED) != 0),
        }
        version = "after" if Hunk.MM_INIT in self.kernel.patch else "before"
        for names, mask in books.items():
            fits = np.logical_or.reduce([looks_like(memmap, pages, name, version) for name in names])
            faults[f"do not look like {' or '.join(names)}"] = mask & ~fits
        return [
            f"{fault.sum()} pages {words}, first {nr * N + int(fault.argmax()):#x}"
            for words, fault in faults.items()
            if fault.any()
        ]

    def miscounted(self):
        """Return what a driver's own counters do not agree about."""
        device = self.device
        if self.kind == "xen-balloon" and device.target_unpopulated != len(self.machine.users.lent):
            return [f"{device.target_unpopulated} pages are counted as lent"]
        if self.kind == "hv-balloon":
            if device.num_pages_onlined > device.num_pages_added:
                return [f"{device.num_pages_onlined} pages onlined, {device.num_pages_added} added"]
            if device.num_pages_ballooned != device.held_pages():
                return [f"{device.num_pages_ballooned} pages ballooned, the host has {device.held_pages()}"]
        if self.kind == "virtio-mem" and isinstance(device.mode, SubBlocks):
            plugged = sum(int(bits.sum()) for bits in device.mode.plugged.values()) * device.mode.sb_pages
            if plugged != device.plugged_pages():
                return [f"the bitmap has {plugged} pages plugged, the host {device.plugged_pages()}"]
        return []


def virtio_mem_books(side, base, _, __):
    """Return the unplugged sub-blocks of an online block; in big-block mode nothing stays withheld."""
    mode, mask = side.device.mode, np.zeros(N, bool)
    if isinstance(mode, SubBlocks) and mode.state.get(base // N, 0) > MbState.OFFLINE_PARTIAL:
        mask = ~np.repeat(mode.plugged[base // N], mode.sb_pages)
    return {("V3", "V11"): mask}


def hv_balloon_books(side, base, section, rest):
    """Return what is ballooned, what the host does not back, and what is in no region at all."""
    ballooned, unbacked = np.zeros(N, bool), np.zeros(N, bool)
    for pfn, size in side.device.held:
        ballooned[max(0, pfn - base) : max(0, pfn + size - base)] = True
    regions = [has for has in side.device.ha_region_list if has.start_pfn <= base < has.end_pfn]
    for has in regions:
        for start, end, backed in backed_parts(has, base, base + N):
            unbacked[start - base : end - base] = not backed
    outside = rest & (not section.early and not regions)
    return {("Y6",): ballooned, ("Y2",): unbacked, ("Y4",): outside}


def xen_balloon_books(side, base, section, _):
    """Return what is on the balloon's list, what it has lent, and what is left of the extra region."""
    listed, lent = members(side.device.ballooned_pages, base), members(side.machine.users.lent, base)
    boot = section.early & (section.pages.flags & np.uint32(PageFlag.RESERVED) != 0)
    return {
        ("X1", "X4"): listed & ~boot,
        ("X5",): listed & boot,
        ("X6", NOT_FROM_HOTPLUG): lent & ~boot,
        ("B2",): lent & boot,
    }


def members(pfns, base):
    """Return which pages of a section are in a list."""
    inside = np.asarray(pfns, np.int64) - base
    mask = np.zeros(N, bool)
    mask[inside[(inside >= 0) & (inside < N)]] = True
    return mask


BOOKS = {"virtio-mem": virtio_mem_books, "hv-balloon": hv_balloon_books, "xen-balloon": xen_balloon_books}

"""What each driver has in its book, pageblock by pageblock, and as a whole.

virtio-mem goes by a bitmap and the states of memory blocks, the Hyper-V balloon by its regions, the Xen
balloon by the list of ballooned pages. The memmap is what the kernel believes, and another thing.

Left out: what the pages are; that is :mod:`memsim.view.driver_lab.snapshot`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.linux.drivers.hv.hv_balloon.region import backed_pages
from memsim.linux.drivers.virtio.virtio_mem.state import SubBlocks
from memsim.linux.include.layout import hex_range, pageblock_nr_pages

if TYPE_CHECKING:
    from memsim.machine.machine import Machine

PLUGGED, UNPLUGGED = "plugged", "unplugged"
BACKED, NOT_BACKED = "backed", "not backed"
BALLOON = "in the balloon"


def device_of(machine: Machine) -> Any:  # noqa: ANN401 (any of three classes)
    """Return the machine's one device."""
    return next(iter(machine.devices.values()))


def book_lines(kind: str, machine: Machine) -> list[str]:
    """Return what the driver has in its book as a whole, one thought a line."""
    lines = {"virtio-mem": _virtio_lines, "hv-balloon": _hv_lines, "xen-balloon": _xen_lines}
    return lines[kind](device_of(machine))


def block_words(kind: str, machine: Machine, block: int) -> list[str]:
    """Return what the driver says of each pageblock of a memory block, in a word or two."""
    words = {"virtio-mem": _virtio_words, "hv-balloon": _hv_words, "xen-balloon": _xen_words}
    return words[kind](machine, block)


def block_state(kind: str, machine: Machine, block: int) -> str:
    """Return the driver's state of a memory block; only virtio-mem has such a thing."""
    if kind != "virtio-mem":
        return ""
    mode = device_of(machine).mode
    state = mode.state.get(block)
    return f"state {state.name}" if state is not None else "unknown to the driver"


def _firsts(machine: Machine, block: int) -> range:
    """Return the first pfn of each pageblock of a memory block."""
    pages = machine.kernel.block_pages
    return range(block * pages, (block + 1) * pages, pageblock_nr_pages)


# ---- virtio-mem ------------------------------------------------------------------------------------


def _virtio_lines(vm: Any) -> list[str]:  # noqa: ANN401 (VirtioMem)
    mode = "sub-blocks of 512 pages" if isinstance(vm.mode, SubBlocks) else "big blocks"
    lines = [
        (
            f"requested {vm.host.requested_pages} pages, plugged {vm.plugged_pages()}, "
            f"region {vm.host.region_pages}; {mode}"
        ),
        (
            f"added to Linux and still offline: {vm.offline_pages} pages "
            f"(no block is added beyond {vm.offline_threshold})"
        ),
    ]
    if vm.last_error is not None:
        lines.append(f"last error: {vm.last_error}")
    if vm.retry_in is not None:
        lines.append(f"the retry timer fires in {vm.retry_in} s")
    if vm.removing:
        lines.append("the driver is unbound")
    if vm.broken:
        lines.append("the device is marked broken: the driver does nothing any more")
    return lines


def _virtio_words(machine: Machine, block: int) -> list[str]:
    mode = device_of(machine).mode
    bitmap = mode.plugged.get(block) if isinstance(mode, SubBlocks) else None
    count = len(_firsts(machine, block))
    if bitmap is None:
        return [UNPLUGGED] * count
    return [PLUGGED if bit else UNPLUGGED for bit in np.repeat(bitmap, count // len(bitmap))]


# ---- Hyper-V ---------------------------------------------------------------------------------------


def _hv_lines(dm: Any) -> list[str]:  # noqa: ANN401 (HvBalloon)
    lines = [
        f"pages added {dm.num_pages_added}, onlined {dm.num_pages_onlined}",
        f"pages ballooned {dm.num_pages_ballooned}",
        f"the host backs {dm.plugged_pages()} pages by hot-add and has {dm.held_pages()} in its balloon",
    ]
    if not dm.do_hot_add:
        lines.append("hot-add stays switched off (EEXIST)")
    for has in dm.ha_region_list:
        gaps = ", ".join(hex_range(start, end - start) for start, end in has.gap_list) or "none"
        lines.append(
            f"region from {has.start_pfn:#x}: "
            f"covered {has.covered_start_pfn:#x} to {has.covered_end_pfn:#x}, "
            f"added to {has.ha_end_pfn:#x}, ends {has.end_pfn:#x}; gaps: {gaps}"
        )
    return lines


def _hv_words(machine: Machine, block: int) -> list[str]:
    regions = device_of(machine).ha_region_list
    words = []
    for pfn in _firsts(machine, block):
        backed = sum(backed_pages(has, pfn, pfn + pageblock_nr_pages) for has in regions)
        words.append({0: NOT_BACKED, pageblock_nr_pages: BACKED}.get(backed, f"{backed} pages backed"))
    return words


# ---- Xen -------------------------------------------------------------------------------------------


def _xen_lines(balloon: Any) -> list[str]:  # noqa: ANN401 (XenBalloon)
    return [
        (
            f"target {balloon.target_pages}, current {balloon.current_pages}, total {balloon.total_pages}: "
            f"credit {balloon.current_credit}"
        ),
        f"in the balloon {balloon.balloon_low}, lent {balloon.target_unpopulated}",
        (
            f"state {balloon.state}, retry {balloon.retry_count} of {balloon.max_retry_count}, "
            f"clock {balloon.clock} s"
        ),
    ]


def _xen_words(machine: Machine, block: int) -> list[str]:
    ballooned = np.array(device_of(machine).ballooned_pages, np.int64)
    first = _firsts(machine, block)
    inside = (ballooned >= first.start) & (ballooned < first.stop)
    places = (ballooned[inside] - first.start) // pageblock_nr_pages
    counts = np.bincount(places.astype(np.intp), minlength=len(first))
    names = {0: "not in the balloon", pageblock_nr_pages: BALLOON}
    return [names.get(int(count), f"{count} {BALLOON}") for count in counts]

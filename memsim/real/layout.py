"""Where the fields above the flags of ``page->flags`` are, solved from the numbers that a kernel printed.

``include/linux/page-flags-layout.h``: from bit 63 (31) down the section (classic sparsemem only), the node,
the
zone, LAST_CPUPID, the KASAN tag, and below these up to eight bits of multi-gen LRU. Every width depends on
the
configuration, so no layout may be taken for granted; but a kernel since 5.12 prints the numbers, and few
layouts give them.

>>> solution = solve(0x6FFFF8000002000, {"node": 1, "zone": 2, "lastcpupid": 0x1FFFF}, nr_flags=23)
>>> [str(layout) for layout in solution]
['node 63-58, zone 57-56, lastcpupid 55-39']

Left out: the section, whose number is only shown where it was printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memsim.real.versions import Version

MAX_ZONE = 4
"""ZONE_DEVICE: no x86-64 or arm64 kernel has a fifth zone after it."""
FIELDS = ("section", "node", "zone", "lastcpupid", "kasantag")
ZONES_X86_64 = ("DMA", "DMA32", "Normal", "Movable", "Device")
_ZONES = {
    "x86-64": ZONES_X86_64,
    "arm64": ZONES_X86_64,
    "s390": ("DMA", "Normal", "Movable", "Device"),
    "riscv64": ("DMA32", "Normal", "Movable", "Device"),
}
_DMA32_ON_ARM64 = (5, 5)
"""Since when arm64 has ZONE_DMA32 beside ZONE_DMA."""
_DMA_END, _DMA32_END = 0x1000, 0x100000


@dataclass(frozen=True)
class Layout:
    """One way to divide the upper bits; a field that is not there has width 0."""

    bits: int
    section: int
    node: int
    zone: int
    lastcpupid: int
    kasantag: int
    name: str = field(default="", compare=False)
    """The configuration that has this layout, where it is known."""

    @property
    def fields(self) -> dict[str, tuple[int, int]]:
        """Name -> (lowest bit, width) of the fields that are there, the highest first."""
        found, end = {}, self.bits
        for name in FIELDS:
            width = getattr(self, name)
            if width:
                end -= width
                found[name] = (end, width)
        return found

    @property
    def end(self) -> int:
        """The lowest bit of the lowest field."""
        return self.bits - self.section - self.node - self.zone - self.lastcpupid - self.kasantag

    def read(self, word: int) -> dict[str, int]:
        """Return the number in each field."""
        return {name: word >> low & (1 << width) - 1 for name, (low, width) in self.fields.items()}

    def __str__(self) -> str:
        """Show which bits each field has."""
        return ", ".join(
            f"{name} {low + width - 1}-{low}" if width > 1 else f"{name} {low}"
            for name, (low, width) in self.fields.items()
        )


def _widths(printed: Mapping[str, int], name: str, widths: tuple[int, ...]) -> tuple[int, ...]:
    """Return the widths that a field can have: those that hold its number, or 0 if it was not printed."""
    if name not in printed:
        return (0,)
    return tuple(width for width in widths if printed[name] >> width == 0)


def solve(word: int, printed: Mapping[str, int], nr_flags: int, bits: int = 64) -> list[Layout]:
    """Return every layout in which the upper bits of a word give the printed numbers.

    Parameters
    ----------
    word
        The flags word.
    printed
        Numbers by field, as the kernel printed them (``node``, ``zone``, ``lastcpupid``, ``kasantag``).
    nr_flags
        How many flags the kernel has at least: no field begins below.
    bits
        64, or 32 for a 32-bit kernel.
    """
    return list(_solve(word >> nr_flags, tuple(printed.items()), nr_flags, bits))


@lru_cache(maxsize=1024)
def _solve(upper: int, numbers: tuple[tuple[str, int], ...], nr_flags: int, bits: int) -> tuple[Layout, ...]:
    """Solve for the bits above the flags: most pages of a machine have the same."""
    word, printed = upper << nr_flags, dict(numbers)
    sections = tuple(range(1, 20)) if "section" in printed else (0,)
    choices = (
        _widths(printed, "section", sections),
        _widths(printed, "node", tuple(range(1, 11))),
        _widths(printed, "zone", (1, 2, 3)),
        _widths(printed, "lastcpupid", tuple(range(9, 24))),
        _widths(printed, "kasantag", (4, 8)),
    )
    layouts = (Layout(bits, *widths) for widths in product(*choices))
    return tuple(layout for layout in layouts if layout.end >= nr_flags and layout.read(word) == printed)


def agreed(layouts: list[Layout], name: str) -> tuple[int, int] | None:
    """Return (lowest bit, width) of a field if all layouts have it at the same bits."""
    places = {layout.fields.get(name) for layout in layouts}
    return places.pop() if len(places) == 1 else None


# ---- words without printed numbers ------------------------------------------------------------------

KNOWN = (
    Layout(64, 0, 10, 3, 21, 0, "Debian, Fedora and Ubuntu for x86-64: 1024 nodes, 8192 CPUs"),
    Layout(64, 0, 6, 3, 11, 0, "syzbot for x86-64: 64 nodes, 8 CPUs"),
    Layout(64, 0, 6, 2, 17, 0, "x86-64 with 64 nodes and 512 CPUs"),
    Layout(64, 0, 6, 3, 16, 0, "x86-64 with 64 nodes and 256 CPUs"),
    Layout(64, 0, 6, 2, 0, 0, "x86-64 with 64 nodes and without NUMA balancing"),
    Layout(64, 0, 4, 2, 0, 0, "x86-64 with 16 nodes and without NUMA balancing"),
    Layout(64, 0, 0, 2, 0, 0, "a kernel without NUMA"),
    Layout(64, 0, 7, 2, 20, 0, "arm64 with 128 nodes and 4096 CPUs"),
    Layout(64, 0, 4, 2, 16, 0, "arm64 with 16 nodes and 256 CPUs"),
    Layout(64, 0, 7, 2, 16, 0, "arm64 with 128 nodes and 256 CPUs"),
    Layout(64, 0, 2, 2, 16, 0, "arm64 with 4 nodes and 256 CPUs"),
    Layout(64, 0, 5, 2, 12, 0, "arm64 with 32 nodes and 16 CPUs"),
)
"""Layouts of configurations that many people run, and of public reports."""


def plausible(
    word: int, nr_flags: int, pfn: int | None = None, architecture: str | None = None
) -> list[Layout]:
    """Return the known layouts that a word without printed numbers may have.

    The zone must exist and agree with the pfn, the node be one of the first four, LAST_CPUPID be all ones, as
    it is until NUMA balancing has touched a page, and no bit between it and the flags be set.

    >>> [layout.name[:6] for layout in plausible(0x17FFFFC0000000, 23)]
    ['Debian']
    """
    return [layout for layout in KNOWN if _fits(layout, word, nr_flags, pfn, architecture)]


def _fits(layout: Layout, word: int, nr_flags: int, pfn: int | None, architecture: str | None) -> bool:
    elsewhere = [name for name in ("x86-64", "arm64") if name in layout.name and name != architecture]
    if architecture is not None and elsewhere:
        return False
    found = layout.read(word)
    untouched = (1 << layout.lastcpupid) - 1
    between = word >> nr_flags & (1 << layout.end - nr_flags) - 1
    return (
        found["zone"] <= MAX_ZONE
        and found.get("node", 0) < 4  # noqa: PLR2004 (few machines have more nodes)
        and found.get("lastcpupid", 0) == untouched
        and not between
        and zone_agrees(found["zone"], pfn, architecture) is not False
    )


@lru_cache(maxsize=64)
def zone_name(number: int, architecture: str | None, version: Version | None = None) -> str | None:
    """Return what a zone number is called in the usual configuration of an architecture.

    >>> zone_name(2, "x86-64"), zone_name(1, "s390"), zone_name(7, "x86-64"), zone_name(1, "ppc64")
    ('Normal', 'Normal', None, None)
    """
    names = _ZONES.get(architecture or "x86-64", ())
    if architecture == "arm64" and version is not None and version < _DMA32_ON_ARM64:
        names = _ZONES["s390"]
    return names[number] if number < len(names) else None


def zone_agrees(zone: int, pfn: int | None, architecture: str | None) -> bool | None:
    """Return whether a zone number can be right for a pfn on x86-64; None if nothing is known.

    ZONE_DMA ends at 16 MiB, ZONE_DMA32 at 4 GiB; Movable and Device memory can be anywhere above 16 MiB.

    >>> zone_agrees(1, 0x100000, "x86-64"), zone_agrees(2, 0x100000, "x86-64"), zone_agrees(2, 5, "arm64")
    (False, True, None)
    """
    if pfn is None or architecture not in {None, "x86-64"}:
        return None
    ranges = ((0, _DMA_END), (_DMA_END, _DMA32_END), (_DMA32_END, 1 << 52), (_DMA_END, 1 << 52))
    low, end = ranges[min(zone, 3)]
    return low <= pfn < end

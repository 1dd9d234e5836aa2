"""What a machine may be made of and asked for; everything else is answered with the rule."""

from __future__ import annotations

from memsim.base.memory import ONLINE_TYPES
from memsim.errors import MemsimError
from memsim.include.layout import MAX_PHYSMEM_PFN, PAGES_PER_SECTION
from memsim.include.mmzone import MigrateType


def check_ram(ram: list[tuple[int, int]]) -> None:
    """Refuse no RAM at all, empty or negative ranges, and overlaps."""
    if not ram:
        msg = "ram: a machine needs at least one range of boot memory"
        raise MemsimError(msg)
    end = 0
    for start, size in ram:
        if start < end or size <= 0:
            msg = f"ram: range ({start}, {size}) is empty, negative, or overlaps the one before it"
            raise MemsimError(msg)
        end = start + size
    if end > MAX_PHYSMEM_PFN:
        msg = f"ram: ends at pfn {end:#x}, beyond {MAX_PHYSMEM_PFN:#x}, the last that the kernel maps"
        raise MemsimError(msg)


def check_online_type(online_type: str) -> str:
    """Return ``online_type`` if sysfs knows the word."""
    if online_type not in ONLINE_TYPES:
        msg = f"online type {online_type!r} must be one of {', '.join(ONLINE_TYPES)}"
        raise MemsimError(msg)
    return online_type


def check_block_pages(block_pages: int) -> int:
    """Return ``block_pages`` if it is a power of two of at least one section."""
    if block_pages < PAGES_PER_SECTION or block_pages & (block_pages - 1):
        msg = f"block_pages {block_pages} must be a power of two of at least {PAGES_PER_SECTION}"
        raise MemsimError(msg)
    return block_pages


def parse_migratetype(name: str) -> MigrateType:
    """Return the migratetype that an allocation may ask for."""
    allowed = ("unmovable", "movable", "reclaimable")
    if name not in allowed:
        msg = f"migratetype {name!r} must be one of {', '.join(allowed)}"
        raise MemsimError(msg)
    return MigrateType[name.upper()]

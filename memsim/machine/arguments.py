"""Argument checks for Machine; each error names the rule that was broken."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any

from memsim.devices import DEVICE_KINDS
from memsim.errors import MemsimError
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES
from memsim.linux.include.layout import (
    MAX_PAGE_ORDER,
    MAX_PHYSMEM_PFN,
    PAGES_PER_SECTION,
    pfn_to_section_nr,
    section_nr_to_pfn,
)
from memsim.linux.include.mmzone import ZONE_NAMES, MigrateType, ZoneType
from memsim.state.ranges import gaps

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


WHOLE = "a whole number, not negative"


def is_whole(value: object) -> bool:
    """Return whether a value of a JSON document (or of numpy) is a whole number and not negative.

    >>> is_whole(0), is_whole(-1), is_whole(True), is_whole(1.0)
    (True, False, False, False)
    """
    if type(value) is int:
        return value >= 0
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0


def check_pfn(pfn: int) -> int:
    """Return a pfn as an int; MemsimError for anything but a whole number.

    >>> check_pfn("0x100000")
    Traceback (most recent call last):
    memsim.errors.MemsimError: pfn '0x100000' (str) must be a whole number, not negative, such as 0x100000
    """
    if is_whole(pfn):
        return int(pfn)
    msg = f"pfn {pfn!r} ({type(pfn).__name__}) must be {WHOLE}, such as 0x100000"
    raise MemsimError(msg)


def check_pfns(pfns: object) -> list[int]:
    """Return the list that ``allocate()`` returned; MemsimError for anything that is no list.

    >>> check_pfns(0x100000)
    Traceback (most recent call last):
    memsim.errors.MemsimError: pfns is 1048576, must be the list that allocate() returned, such as [0x100000]
    """
    if isinstance(pfns, list):
        return pfns
    msg = f"pfns is {pfns!r}, must be the list that allocate() returned, such as [0x100000]"
    raise MemsimError(msg)


def check_range(start_pfn: object, nr_pages: object) -> None:
    """Refuse a range that is not two whole numbers; what the kernel says of their values is its business.

    >>> check_range(0x100000, "128M")
    Traceback (most recent call last):
    memsim.errors.MemsimError: nr_pages is '128M', must be a whole number of pages; only scenarios know units
    """
    for name, value in {"start_pfn": start_pfn, "nr_pages": nr_pages}.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            msg = f"{name} is {value!r}, must be a whole number of pages; only scenarios know units"
            raise MemsimError(msg)


def check_pages_of(name: str, nr_pages: int) -> int:
    """Return a number of pages as an int; MemsimError for anything but a whole number."""
    if is_whole(nr_pages):
        return int(nr_pages)
    msg = f"{name} is {nr_pages!r}, must be {WHOLE}"
    raise MemsimError(msg)


def block_id_of(block: int | str) -> int:
    """Return the number of a memory block that is given as a number or by its name in sysfs.

    >>> block_id_of(32), block_id_of("memory32")
    (32, 32)
    """
    if isinstance(block, str) and block.removeprefix("memory").isdecimal():
        return int(block.removeprefix("memory"))
    if is_whole(block):
        return int(block)
    msg = f"memory block {block!r}: must be a number such as 32, or a name such as 'memory32'"
    raise MemsimError(msg)


def zone_type_of(zone: object) -> ZoneType:
    """Return the zone of a name: as in /proc/zoneinfo, in upper or lower case, or as the kernel's constant.

    >>> zone_type_of("Movable") is zone_type_of("ZONE_MOVABLE") is zone_type_of("movable")
    True
    """
    if isinstance(zone, ZoneType):
        return zone
    name = str(zone).upper().removeprefix("ZONE_")
    if name in ZoneType.__members__:
        return ZoneType[name]
    msg = f"there is no zone {zone!r}; the zones are {', '.join(ZONE_NAMES.values())}"
    raise MemsimError(msg)


def ranges_of(name: str, ranges: Any) -> list[tuple[int, int]]:  # noqa: ANN401 (anything a caller gives)
    """Return ranges of pages as a list; MemsimError unless each is (start_pfn, nr_pages).

    >>> ranges_of("ram", 0x20000)
    Traceback (most recent call last):
    memsim.errors.MemsimError: ram is 131072, must be a list of (start_pfn, nr_pages)
    """
    try:
        return [(int(start), int(size)) for start, size in ranges]
    except (TypeError, ValueError):
        msg = f"{name} is {ranges!r}, must be a list of (start_pfn, nr_pages)"
        raise MemsimError(msg) from None


def check_memory(
    ram: list[tuple[int, int]], reserved: Iterable[tuple[int, int]], devices: Iterable[Mapping[str, Any]] = ()
) -> list[tuple[int, int]]:
    """Return the reserved ranges, of boot code and devices, of the boot memory ``ram`` (ascending).

    Refused are no RAM at all, empty or negative ranges, overlapping RAM, and reserved pages outside of the
    sections of RAM. All ranges are (start_pfn, nr_pages); reserved ones may be empty, and may overlap.
    """
    if not ram:
        msg = "ram: a machine needs at least one range of boot memory"
        raise MemsimError(msg)
    end, sections = 0, []
    for start, size in ram:
        if start < end or size <= 0:
            msg = f"ram: range ({start}, {size}) is empty, negative, or overlaps the one before it"
            raise MemsimError(msg)
        end = start + size
        first, last = pfn_to_section_nr(start), pfn_to_section_nr(end - 1)
        sections.append((section_nr_to_pfn(first), section_nr_to_pfn(last + 1 - first)))
    if end > MAX_PHYSMEM_PFN:
        msg = f"ram: ends at pfn {end:#x}, beyond {MAX_PHYSMEM_PFN:#x}, the last that the kernel maps"
        raise MemsimError(msg)
    extra = [(spec.get("extra_start_pfn", 0), spec.get("extra_pages", 0)) for spec in devices]
    for start, size in (kept := [*reserved, *extra]):
        if size < 0 or any(gaps(sections, start, start + size)):
            msg = f"reserved: range ({start}, {size}) is negative, or not within the sections of boot memory"
            raise MemsimError(msg)
    return kept


def check_devices(devices: Iterable[Any]) -> list[Mapping[str, Any]]:
    """Return devices whose kinds are known, whose keys are the right ones, and whose names differ."""
    known: dict[str, Mapping[str, Any]] = {}
    for number, device in enumerate(devices):
        known[_check_device(device, known, f"device {number}")] = device
    return list(known.values())


def _check_device(device: object, names: Container[str], where: str) -> str:
    """Check a device as a scenario gives it; returns its name."""
    if not isinstance(device, Mapping):
        msg = f"{where} must be a JSON object"
        raise MemsimError(msg)
    kind = DEVICE_KINDS.get(str(device.get("kind")))
    if kind is None:
        msg = f"{where}: 'kind' is {device.get('kind')!r}; known are {', '.join(DEVICE_KINDS)}"
        raise MemsimError(msg)
    name = device.get("name")
    if not isinstance(name, str) or name in names:
        msg = f"{where}: 'name' is {name!r}, must be a string that no other device has"
        raise MemsimError(msg)
    known = {"kind", "name", *kind.required, *kind.optional}
    for key in [*device, *kind.required]:
        if key not in known:
            msg = f"{where} ({name}): unknown key {key!r}; known are {', '.join(sorted(known))}"
            raise MemsimError(msg)
        if key not in device:
            msg = f"{where} ({name}): {key!r} is missing"
            raise MemsimError(msg)
        if key not in {"kind", "name"} and not is_whole(device[key]):
            msg = f"{where} ({name}): {key!r} is {device[key]!r}, must be {WHOLE}"
            raise MemsimError(msg)
    return name


def check_order(order: int) -> None:
    """Refuse an order without a free list."""
    if not 0 <= order <= MAX_PAGE_ORDER:
        msg = f"order {order}: blocks have the orders 0 (1 page) to {MAX_PAGE_ORDER}"
        raise MemsimError(msg)


def check_online_type(online_type: str) -> str:
    """Return ``online_type`` if sysfs accepts the word."""
    if online_type not in ONLINE_TYPES:
        msg = f"online type {online_type!r} must be one of {', '.join(ONLINE_TYPES)}"
        raise MemsimError(msg)
    return online_type


def check_block_pages(block_pages: int) -> int:
    """Return ``block_pages`` if it is a power of two of at least one section."""
    if not is_whole(block_pages):
        msg = f"block_pages is {block_pages!r}, must be {WHOLE}"
        raise MemsimError(msg)
    if block_pages < PAGES_PER_SECTION or block_pages & (block_pages - 1):
        msg = f"block_pages {block_pages} must be a power of two of at least {PAGES_PER_SECTION}"
        raise MemsimError(msg)
    return block_pages


def parse_migratetype(name: str | MigrateType) -> MigrateType:
    """Return the migratetype that an allocation may ask for.

    >>> parse_migratetype("movable") is parse_migratetype("MIGRATE_MOVABLE") is MigrateType.MOVABLE
    True
    """
    allowed = ("unmovable", "movable", "reclaimable")
    word = name.name if isinstance(name, MigrateType) else str(name)
    word = word.lower().removeprefix("migrate_")
    if word not in allowed:
        msg = f"migratetype {name!r} must be one of {', '.join(allowed)}"
        raise MemsimError(msg)
    return MigrateType[word.upper()]

"""Files of /proc and /sys of a real machine, read as far as they are there.

``iomem`` (``kernel/resource.c``), the e820 map in a boot log (``arch/x86/kernel/e820.c``), ``zoneinfo``
(``mm/vmstat.c``), memory blocks in sysfs (``drivers/base/memory.c``) or as ``lsmem`` lists them, ``version``,
``cmdline``, ``meminfo``. A folder may have them where the system has them, or side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.include.layout import PAGE_SHIFT
from memsim.real.lines import NO_NUMBER

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 64 << 20
"""Bytes of a file that are read at most."""
MEMORY = "sys/devices/system/memory"
NAMES = {
    "iomem": ("proc/iomem", "iomem", "iomem.txt"),
    "e820": ("e820", "e820.txt", "dmesg", "dmesg.txt", "var/log/dmesg"),
    "zoneinfo": ("proc/zoneinfo", "zoneinfo", "zoneinfo.txt"),
    "buddyinfo": ("proc/buddyinfo", "buddyinfo", "buddyinfo.txt"),
    "version": ("proc/version", "version", "version.txt", "uname", "uname.txt"),
    "cpus": ("sys/devices/system/cpu/possible", "possible", "possible.txt"),
    "cmdline": ("proc/cmdline", "cmdline", "cmdline.txt"),
    "meminfo": ("proc/meminfo", "meminfo", "meminfo.txt"),
    "lsmem": ("lsmem", "lsmem.txt"),
    "block_size_bytes": (f"{MEMORY}/block_size_bytes", "block_size_bytes"),
    "auto_online_blocks": (f"{MEMORY}/auto_online_blocks", "auto_online_blocks"),
    "memmap_on_memory": ("sys/module/memory_hotplug/parameters/memmap_on_memory", "memmap_on_memory"),
}
"""What a file is called in a system, and in a folder of copies; the first that is there counts."""

_RESOURCE = re.compile(
    r"^(?P<indent> *)(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) : (?P<name>.*)$", re.MULTILINE
)
_E820 = re.compile(r"BIOS-e820: \[mem (0x[0-9a-f]+)-(0x[0-9a-f]+)\] usable")
_ZONE = re.compile(r"^Node (\d+), zone +(\w+)$", re.MULTILINE)
_BUDDYINFO = re.compile(r"^Node +\d+, zone +(\w+)((?: +\d+)+) *$", re.MULTILINE)
_LSMEM = re.compile(
    r"^0x([0-9a-f]+)-0x([0-9a-f]+) +\S+ "
    r"+(online|offline)\b(?:[^\n]*?\b(DMA|DMA32|Normal|Movable)\b)?",
    re.MULTILINE,
)
_LSMEM_SIZE = re.compile(r"Memory block size: +([\d.]+)([KMGT])")


@dataclass(frozen=True)
class Resource:
    """A range of RAM in iomem; ``start_pfn`` rounded up, ``nr_pages`` without a page that it has in part."""

    start_pfn: int
    nr_pages: int
    name: str


@dataclass
class ZoneFacts:
    """What zoneinfo says about a zone, in pages."""

    node: int
    name: str
    numbers: dict[str, int] = field(default_factory=dict)


@dataclass
class BlockFacts:
    """A memory block: its state and its zone, if one is given."""

    state: str
    zone: str = ""


@dataclass
class Files:
    """The files of a machine: text by name, and where each was found."""

    texts: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    blocks: dict[int, BlockFacts] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Return whether a file is there."""
        return name in self.texts

    def get(self, name: str) -> str:
        """Return the text of a file; empty if it is not there."""
        return self.texts.get(name, "")


def read_files(root: Path) -> Files:
    """Read what there is below a folder; MemsimError if it is not a folder, or none of its files is known."""
    if not root.is_dir():
        msg = f"{root}: is not a directory"
        raise MemsimError(msg)
    files = Files()
    for name, places in NAMES.items():
        _read_first(files, root, name, places)
    _read_blocks(files, root)
    if not files.texts and not files.blocks:
        msg = f"{root}: has none of the files that are read, such as proc/iomem or iomem"
        raise MemsimError(msg)
    return files


def _read_first(files: Files, root: Path, name: str, places: tuple[str, ...]) -> None:
    for place in places:
        path = root / place
        if not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                text = NO_NUMBER.sub("?", file.read(LARGEST).decode("utf-8", "replace"))
        except OSError as problem:
            files.problems.append(f"{place} cannot be read: {problem.strerror}")
            continue
        files.texts[name], files.places[name] = text, place
        return


def _read_blocks(files: Files, root: Path) -> None:
    """Read the memory blocks from sysfs, or from what ``lsmem`` lists."""
    for folder in sorted((root / MEMORY).glob("memory[0-9]*")):
        try:
            state = (folder / "state").read_text(encoding="ascii").strip()
            zones = folder / "valid_zones"
            zone = zones.read_text(encoding="ascii").split() if zones.is_file() else []
        except (OSError, UnicodeDecodeError):
            continue
        shown = zone[0] if zone and state == "online" and zone[0] != "none" else ""
        files.blocks[int(folder.name.removeprefix("memory"))] = BlockFacts(state, shown)
    if files.blocks:
        files.places["blocks"] = MEMORY
    elif files.has("lsmem"):
        files.blocks.update(lsmem_blocks(files.get("lsmem"), block_pages_of(files) or 0))
        files.places["blocks"] = files.places["lsmem"]


# ---- the parts -------------------------------------------------------------------------------------


def resources(text: str) -> list[Resource]:
    r"""Return the ranges of RAM in iomem, those inside others left out.

    >>> resources("00001000-0009fbff : System RAM\n  00002000-00002fff : Kernel code\n")
    [Resource(start_pfn=1, nr_pages=158, name='System RAM')]
    """
    found = []
    for match in _RESOURCE.finditer(text):
        if match["indent"] or not match["name"].startswith("System RAM"):
            continue
        start, end = pages_inside(int(match["start"], 16), int(match["end"], 16))
        if end > start:
            found.append(Resource(start, end - start, match["name"]))
    return found


def hides_addresses(text: str) -> bool:
    """Return whether iomem was read without the right to see addresses: they are all 0."""
    matches = list(_RESOURCE.finditer(text))
    return bool(matches) and all(int(match["end"], 16) == 0 for match in matches)


def e820(text: str) -> list[Resource]:
    """Return the usable ranges of an e820 map in a boot log; page 0 belongs to the firmware."""
    found = []
    for first, last in _E820.findall(text):
        start, end = pages_inside(int(first, 16), int(last, 16))
        start = max(start, 1)
        if end > start:
            found.append(Resource(start, end - start, "System RAM"))
    return found


def pages_inside(first: int, last: int) -> tuple[int, int]:
    """Return (start pfn, end pfn) of the whole pages between two addresses, the last one included."""
    return -(-first >> PAGE_SHIFT), (last + 1) >> PAGE_SHIFT


def zones(text: str) -> list[ZoneFacts]:
    """Return the zones of zoneinfo in their order, with counters, first pfn and watermarks."""
    found = []
    parts = _ZONE.split(text)[1:]
    for at in range(0, len(parts), 3):
        zone = ZoneFacts(int(parts[at]), parts[at + 1])
        for name in ("min", "low", "high", "spanned", "present", "managed", "start_pfn:"):
            match = re.search(rf"^ +{name} +(\d+)$", parts[at + 2], re.MULTILINE)
            if match is not None:
                zone.numbers[name.rstrip(":")] = int(match[1])
        free = re.search(r"^ +pages free +(\d+)$", parts[at + 2], re.MULTILINE)
        if free is not None:
            zone.numbers["free"] = int(free[1])
        found.append(zone)
    return found


def free_blocks(text: str) -> dict[str, list[int]]:
    r"""Return the free blocks of each order from buddyinfo, zones of one name added up.

    >>> free_blocks("Node 0, zone      DMA      0      1\nNode 1, zone      DMA      2      0\n")
    {'DMA': [2, 1]}
    """
    found: dict[str, list[int]] = {}
    for name, numbers in _BUDDYINFO.findall(text):
        counts = [int(number) for number in numbers.split()]
        before = found.get(name, [0] * len(counts))
        found[name] = [one + other for one, other in zip(before, counts, strict=False)]
    return found


def inside(text: str, name: str) -> list[tuple[int, int]]:
    r"""Return (start_pfn, nr_pages) of the ranges of a name that lie inside others in iomem.

    >>> inside("00100000-3fffffff : System RAM\n  01000000-01ffffff : Kernel code\n", "Kernel code")
    [(4096, 4096)]
    """
    found = []
    for match in _RESOURCE.finditer(text):
        if match["indent"] and match["name"] == name:
            start, end = pages_inside(int(match["start"], 16), int(match["end"], 16))
            found.append((start, end - start))
    return found


def pages_of_parameter(text: str, total: int) -> int | None:
    """Return the pages that a size on a command line means, in per cent of ``total``; None: it is no size.

    >>> pages_of_parameter("1G", 0), pages_of_parameter("25%", 1000), pages_of_parameter("mirror", 0)
    (262144, 250, None)
    """
    match = re.fullmatch(r"(0x[0-9a-fA-F]+|[0-9]+)([kKmMgGtT%]?)", text)
    if match is None:
        return None
    number = int(match[1], 0) if match[1].startswith("0x") else int(match[1])
    if match[2] == "%":
        return total * number // 100
    shift = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[match[2].upper()]
    return number << shift >> PAGE_SHIFT


def crashkernel_pages(text: str, total: int) -> int | None:
    """Return the pages that ``crashkernel=`` asks for on a machine with ``total`` pages; None: unknown.

    >>> [crashkernel_pages("2G-64G:256M,64G-:512M", gib << 18) for gib in (1, 4, 64)]
    [0, 65536, 131072]
    """
    if ":" not in text:
        return pages_of_parameter(re.split(r"[@,]", text)[0], total)
    for part in text.partition("@")[0].split(","):
        limits, _, size = part.partition(":")
        low, _, high = limits.partition("-")
        first, end = pages_of_parameter(low, total), pages_of_parameter(high, total) if high else total + 1
        if first is None or end is None:
            return None
        if first <= total < end:
            return pages_of_parameter(size, total)
    return 0


def block_pages_of(files: Files) -> int | None:
    """Return the pages of a memory block, from sysfs (hexadecimal) or from ``lsmem``."""
    text = files.get("block_size_bytes").strip()
    if re.fullmatch(r"(?:0x)?[0-9a-f]+", text):
        return int(text, 16) >> PAGE_SHIFT
    size = _LSMEM_SIZE.search(files.get("lsmem"))
    return (
        int(float(size[1]) * (1 << {"K": 10, "M": 20, "G": 30, "T": 40}[size[2]])) >> PAGE_SHIFT
        if size
        else None
    )


def lsmem_blocks(text: str, block_pages: int) -> dict[int, BlockFacts]:
    """Return the memory blocks that ``lsmem`` lists, with their zone if there is a column of zones."""
    found: dict[int, BlockFacts] = {}
    if not block_pages:
        return found
    for first, last, state, zone in _LSMEM.findall(text):
        start, end = pages_inside(int(first, 16), int(last, 16))
        for block in range(start // block_pages, min(end // block_pages, start // block_pages + (1 << 20))):
            found[block] = BlockFacts(state, zone)
    return found


def mem_total(text: str) -> int | None:
    """Return MemTotal of meminfo in KiB."""
    match = re.search(r"^MemTotal: +(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) if match else None


def page_size(files: Files) -> int | None:
    """Return the size of a page in KiB, from what zoneinfo counts in pages and meminfo in KiB; None: unknown.

    Both count the same memory, but for what huge pages and drivers took since boot.
    """
    total = mem_total(files.get("meminfo"))
    managed = sum(zone.numbers.get("managed", 0) for zone in zones(files.get("zoneinfo")))
    if total is None or not managed:
        return None
    return min((4, 16, 64), key=lambda size: abs(size * managed - total))


def parameter(text: str, name: str) -> str | None:
    """Return what a kernel command line gives for a parameter; the last one counts.

    >>> parameter("quiet movablecore=1G memhp_default_state=online", "memhp_default_state")
    'online'
    """
    values = [
        part.partition("=")[2] for part in text.split() if part.partition("=")[0].replace("-", "_") == name
    ]
    return values[-1] if values else None

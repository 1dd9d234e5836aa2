"""What a kernel that stands still holds: zones, sections and struct pages, read by its layout."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tests.lab.guest import VMEMMAP_START

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from tests.lab.layout import Layout

SECTION_PAGES = 32768
"""128 MiB: a section of x86-64, and its memory block on small machines."""
PAGEBLOCKS = 64
_HAS_MEM_MAP, _IS_ONLINE = 1 << 1, 1 << 2
"""SECTION_HAS_MEM_MAP and SECTION_IS_ONLINE in section_mem_map."""
_ZONES = {"Normal": 2, "Movable": 3}
_PAGE_BYTES = 4096
ISOLATED = "4"
"""The digit of an isolated pageblock in a recording, whatever number the kernel uses."""


class Section(NamedTuple):
    """One section: whether it has struct pages, whether it is online, its pageblocks as digits."""

    present: bool
    online: bool
    pageblocks: str


class KernelMemory:
    """The memory of one kernel.

    Parameters
    ----------
    read
        Returns ``size`` bytes at an address of the kernel.
    layout, symbols
        Of the kernel.
    node
        Whose zones are read.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], layout: Layout, symbols: dict[str, int], node: int
    ) -> None:
        """Find the node and struct pages."""
        self.layout = layout
        self._read = read
        self._symbols = symbols
        self._node = node
        self._start = self._word(symbols["vmemmap_base"]) if "vmemmap_base" in symbols else VMEMMAP_START

    def _word(self, address: int) -> int:
        return int(struct.unpack("<Q", self._read(address, 8))[0])

    def zones(self) -> dict[str, dict[str, int]]:
        """Return the counters of the zones that hot-added memory joins."""
        if "node_data" in self._symbols:
            node = self._word(self._symbols["node_data"] + 8 * self._node)
        else:
            node = self._symbols["contig_page_data"]
        size = self.layout.zone_size
        data = self._read(node, size * (max(_ZONES.values()) + 1))
        return {
            name: {
                key: struct.unpack_from("<q", data, number * size + offset)[0]
                for key, offset in self.layout.zone.items()
            }
            for name, number in _ZONES.items()
        }

    def totalram(self) -> int:
        """Return the kernel's count of pages that its buddy manages."""
        return self._word(self._symbols["_totalram_pages"])

    def section(self, number: int) -> Section:
        """Return a section's state."""
        per_root = _PAGE_BYTES // self.layout.section_size
        roots = self._word(self._symbols["mem_section"])
        root = self._word(roots + 8 * (number // per_root))
        if not root:
            return Section(present=False, online=False, pageblocks="")
        data = self._read(root + self.layout.section_size * (number % per_root), self.layout.section_size)
        word = struct.unpack_from("<Q", data, 0)[0]
        usage = struct.unpack_from("<Q", data, self.layout.section_usage)[0]
        present = bool(word & _HAS_MEM_MAP)
        digits = ""
        if usage and present:
            bits = self.layout.pageblock_bits
            digits = digits_of(
                self._read(usage + self.layout.usage_pageblocks, PAGEBLOCKS * bits // 8), self.layout
            )
        return Section(present, bool(word & _IS_ONLINE), digits)

    def pages(self, block: int) -> npt.NDArray[np.uint8]:
        """Return the struct pages of a block, one row of bytes each."""
        size = self.layout.page_size
        data = self._read(self._start + block * SECTION_PAGES * size, SECTION_PAGES * size)
        return np.frombuffer(data, np.uint8).reshape(SECTION_PAGES, size)


def digits_of(data: bytes, layout: Layout) -> str:
    """Return a digit for each pageblock: its migratetype, or 4 when it is isolated."""
    fields = list(data)
    if layout.pageblock_bits == 4:
        fields = [part for byte in data for part in (byte & 0xF, byte >> 4)]
    digits = []
    for field in fields:
        bit = layout.isolate_bit
        isolated = field >> bit & 1 if bit is not None else field & 7 == layout.isolate_type
        digits.append(ISOLATED if isolated else str(field & 7))
    return "".join(digits)

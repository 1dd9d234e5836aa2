"""Taking probes: what all blocks and zones look like at one moment, in the form of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.lab.pages import (
    FOREIGN,
    FREE,
    MANAGED,
    UNDEFINED,
    decode,
    is_buddy,
    legend,
    outside_free_blocks,
    run_lengths,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.lab.memory import KernelMemory

LEAVING = ("notifier:MEM_OFFLINE", "enter:remove_pfn_range_from_zone")
"""Where a block's free pages are in no free list any more."""
UNINITIALISED = "enter:mhp_init_memmap_on_memory"
"""Where the acting block's struct pages mean nothing."""
_SELF_HOSTED = 1 << 2


class Recorder:
    """The probes of one script. The guest must stand still in :meth:`probe`."""

    def __init__(
        self, memory: KernelMemory, blocks: list[int], *, self_hosting: bool, devices: tuple[int, ...] = ()
    ) -> None:
        """Record these memory blocks, and sections of device memory, which never come online."""
        self.memory = memory
        self.blocks = [*devices, *blocks]
        self._devices = devices
        self.probes: list[dict[str, Any]] = []
        self.states: dict[str, dict[str, Any]] = {}
        self.used: set[int] = set()
        """Blocks that the running system has used since they came online."""
        self.codes: dict[int, npt.NDArray[np.int64]] = {}
        self.pinned: dict[int, int] = {}
        self.unmovable: dict[int, int] = {}
        self._self_hosting = self_hosting
        self._base: int | None = None

    def probe(
        self, step: int, at: str, *, acting: int | None = None, errno: str | None = None
    ) -> dict[str, Any]:
        """Take a probe; ``acting`` is the block that comes or goes, whose struct pages count already."""
        total = self.memory.totalram()
        self._base = total if self._base is None else self._base
        probe: dict[str, Any] = {"step": step, "at": at}
        if errno:
            probe["errno"] = errno
        probe["zones"] = self.memory.zones()
        probe["totalram_delta"] = total - self._base
        probe["blocks"] = {
            str(block): self._block(block, at, acting=block == acting) for block in self.blocks
        }
        self.probes.append(probe)
        return probe

    def _block(self, block: int, at: str, *, acting: bool) -> dict[str, Any]:
        section = self.memory.section(block)
        seen: dict[str, Any] = {"present": section.present, "online": section.online}
        counts = section.online or (section.present and (acting or block in self._devices))
        if not counts:
            self.codes.pop(block, None)
            self.used.discard(block)
            return seen
        if acting and at == UNINITIALISED:
            return seen
        pages = decode(self.memory.pages(block), self.memory.layout, self_hosting=self._self_hosting)
        self.pinned[block], self.unmovable[block] = pages.pinned, pages.unmovable
        self.codes[block] = pages.codes
        if acting and at == "notifier:MEM_GOING_ONLINE":
            self.used.discard(block)
        codes, exact = self._comparable(block, pages.codes.copy(), at, acting=acting)
        if not exact:
            seen["exact"] = False
        seen["pages"] = self._named(codes)
        seen["pageblocks"] = section.pageblocks
        return seen

    def _comparable(
        self, block: int, codes: npt.NDArray[np.int64], at: str, *, acting: bool
    ) -> tuple[npt.NDArray[np.int64], bool]:
        """Fold what depends on the running system into MANAGED; return whether nothing had to be."""
        if acting and at == "enter:online_pages":
            codes[(codes < 0) | (codes & _SELF_HOSTED == 0)] = UNDEFINED
            return codes, True
        leaving = acting and at in LEAVING
        if (codes == FOREIGN).any() or (not leaving and outside_free_blocks(codes)):
            self.used.add(block)
        if block in self.used and not leaving:
            codes[(codes == FOREIGN) | is_buddy(codes) | (codes == FREE)] = MANAGED
            return codes, False
        exact = not (codes == FOREIGN).any()
        codes[codes == FOREIGN] = MANAGED
        return codes, exact

    def _named(self, codes: npt.NDArray[np.int64]) -> list[list[Any]]:
        names = {}
        for code in np.unique(codes).tolist():
            names[code], self.states[names[code]] = legend(code)

        def run(pair: list[Any]) -> list[Any]:
            count, code = pair
            return [count, names[code] if isinstance(code, int) else [run(inner) for inner in code]]

        return [run(pair) for pair in run_lengths(codes)]

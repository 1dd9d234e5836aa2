"""Everything that an event can change: memmap, zones, counters, memory blocks, the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.state.ranges import id_ranges

if TYPE_CHECKING:
    from memsim.linux.include.mmzone import Zone
    from memsim.state.memmap import Memmap


class State:
    """The part of a kernel that changes while it runs, and that a tape can restore.

    It is written by the methods below "writes" and by those of its memmap and zones, all of them listed in
    :data:`memsim.state.recording.PRIMITIVES`.
    """

    name = "state"
    """The target in events that write to it."""

    def __init__(self, memmap: Memmap, zones: list[Zone]) -> None:
        """Take a memmap and one zone for each ZoneType."""
        self.memmap = memmap
        self.zones = zones
        self.totalram_pages = 0
        self.blocks: dict[int, str] = {}
        """Memory block id -> what its sysfs file ``state`` shows."""
        self.log: list[str] = []
        """The kernel log, like dmesg."""
        self._targets: dict[str, Any] = {"state": self, "memmap": memmap} | {z.name: z for z in zones}

    def __repr__(self) -> str:
        """Summarise the state: MemTotal, populated zones, blocks by number."""
        zones = ", ".join(zone.name for zone in self.zones if zone.populated) or "none"
        blocks = id_ranges(self.blocks) or "none"
        return f"State(totalram_pages={self.totalram_pages}, zones {zones}, blocks {blocks})"

    def target(self, name: str) -> Any:  # noqa: ANN401 (memmap, a zone, or this object)
        """Return the object that an event's target names."""
        return self._targets[name]

    def zone(self, zone_type: int) -> Zone:
        """Return a zone by its number."""
        return self.zones[zone_type]

    def copy(self) -> State:
        """Return an independent copy that nothing watches."""
        return self.copy_with(self.memmap.copy(), [zone.copy() for zone in self.zones])

    def __deepcopy__(self, memo: dict[int, Any]) -> State:
        """Copy for :mod:`copy`, and register the copies of memmap and zones for what refers to them."""
        twin = self.copy()
        memo[id(self)] = twin
        memo[id(self.memmap)] = twin.memmap
        memo.update((id(zone), other) for zone, other in zip(self.zones, twin.zones, strict=True))
        return twin

    def copy_with(self, memmap: Memmap, zones: list[Zone]) -> State:
        """Return a copy of everything else beside this memmap and these zones."""
        twin = State(memmap, zones)
        twin.totalram_pages = self.totalram_pages
        twin.blocks = dict(self.blocks)
        twin.log = list(self.log)
        return twin

    # ---- writes ------------------------------------------------------------------------------

    def totalram_pages_add(self, nr_pages: int) -> None:
        """Change the system-wide count of managed pages (MemTotal)."""
        self.totalram_pages += nr_pages

    def set_block_state(self, block_id: int, state: str | None) -> None:
        """Set what sysfs shows for a memory block; None removes the block."""
        if state is None:
            del self.blocks[block_id]
        else:
            self.blocks[block_id] = state

    def printk(self, line: str) -> None:
        """Append a line to the log."""
        self.log.append(line)

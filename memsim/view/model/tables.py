"""Zone counters and free lists as numbers, and as aligned text.

:class:`Numbers` is what every view shows of them, in text and in HTML, so these agree by construction.

Left out: per-cpu lists, watermarks, and counters that memory hotplug does not move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.linux.include.mmzone import MigrateType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from memsim.state.state import State

COUNTERS = {
    "start_pfn": "zone_start_pfn",
    "spanned": "spanned_pages",
    "present": "present_pages",
    "managed": "managed_pages",
    "nr_isolate_pageblock": "nr_isolate_pageblock",
    "nr_free": "nr_free_pages",
}
"""Name shown -> attribute of Zone. The first four are what /proc/zoneinfo calls them."""

CHANGED = "*"


@dataclass(frozen=True)
class Row:
    """One line of a table: two words, a number for each state, and the numbers before."""

    words: tuple[str, str]
    numbers: tuple[int, ...]
    old: tuple[int, ...]

    @property
    def shown(self) -> list[str]:
        """The numbers as text, pfns in hexadecimal."""
        in_hex = self.words[1] == "start_pfn"
        return [f"{number:#x}" if in_hex else str(number) for number in self.numbers]

    @property
    def changed(self) -> list[bool]:
        """Which of the numbers are not what they were."""
        return [now != before for now, before in zip(self.numbers, self.old, strict=True)]

    @property
    def differs(self) -> bool:
        """Whether the states have different numbers."""
        return len(set(self.numbers)) > 1


@dataclass(frozen=True)
class Numbers:
    """Counters and free lists of one or more states, taken down: later moments do not change them."""

    names: tuple[str, ...]
    counters: dict[tuple[str, str], tuple[int, ...]]
    """(zone, counter) -> a number for each state."""
    free: dict[tuple[str, int, int], tuple[int, ...]]
    """(zone, order, migratetype) -> free blocks in each state, the largest order first; no zeros."""

    @classmethod
    def of(cls, columns: Mapping[str, State]) -> Numbers:
        """Take down the numbers of states, each under its name."""
        states = list(columns.values())
        counters: dict[tuple[str, str], tuple[int, ...]] = {}
        free: dict[tuple[str, int, int], tuple[int, ...]] = {}
        for zones in zip(*(state.zones for state in states), strict=True):
            zone = zones[0].name
            for name, attribute in COUNTERS.items():
                counters[zone, name] = tuple(getattr(zone, attribute) for zone in zones)
            for order in reversed(range(len(zones[0].free_area))):
                areas = [zone.free_area[order] for zone in zones]
                for migratetype in range(len(MigrateType)):
                    counts = tuple(len(area[migratetype]) for area in areas)
                    if any(counts):
                        free[zone, order, migratetype] = counts
        counters["all", "totalram"] = tuple(state.totalram_pages for state in states)
        return cls(tuple(columns), counters, free)

    def used_zones(self) -> list[str]:
        """Return the zones that span any page in any of the states."""
        return [zone for (zone, name), spans in self.counters.items() if name == "spanned" and any(spans)]

    def counter_rows(self, previous: Numbers | None = None) -> Iterator[Row]:
        """Yield the counters of used zones, and the system's total."""
        used = {*self.used_zones(), "all"}
        for key, numbers in self.counters.items():
            if key[0] in used:
                yield Row(key, numbers, previous.counters[key] if previous else numbers)

    def news(self, previous: Numbers | None = None) -> list[Row]:
        """Return the counters that have changed, and those that differ."""
        return [row for row in self.counter_rows(previous) if any(row.changed) or row.differs]

    def free_rows(self, zone: str, previous: Numbers | None = None) -> Iterator[Row]:
        """Yield the free lists of a zone that have blocks now, or have just lost their last."""
        earlier = previous.free if previous else self.free
        zeros = (0,) * len(self.names)
        for key in sorted({*self.free, *earlier}, key=lambda key: (-key[1], key[2])):
            if key[0] == zone:
                words = (str(key[1]), migratetype_name(key[2]))
                yield Row(words, self.free.get(key, zeros), earlier.get(key, zeros))


def migratetype_name(migratetype: int) -> str:
    """Return the name of a migratetype in lower case.

    >>> migratetype_name(1)
    'movable'
    """
    return MigrateType(migratetype).name.lower()


def counters_table(columns: Mapping[str, State]) -> str:
    """Return the zone counters of one or more states as aligned text."""
    return counters_text(Numbers.of(columns))


def counters_text(numbers: Numbers, previous: Numbers | None = None) -> str:
    """Return what :func:`counters_table` does, with a ``*`` where a number is not the ``previous`` one."""
    return plain_table(["zone", "counter", *numbers.names], list(numbers.counter_rows(previous)))


def free_lists_table(columns: Mapping[str, State], zone_name: str) -> str:
    """Return how many blocks are on each free list of a zone, for one or more states.

    Lists that are empty in all of them are left out.

    Raises
    ------
    ValueError
        There is no zone of this name.
    """
    return free_lists_text(Numbers.of(columns), zone_name)


def free_lists_text(numbers: Numbers, zone_name: str, previous: Numbers | None = None) -> str:
    """Return what :func:`free_lists_table` does, with marks as in :func:`counters_text`."""
    if (zone_name, "managed") not in numbers.counters:
        known = ", ".join(zone for zone, name in numbers.counters if name == "managed")
        msg = f"there is no zone {zone_name!r}; the zones are {known}"
        raise ValueError(msg)
    rows = list(numbers.free_rows(zone_name, previous))
    if not rows:
        return f"zone {zone_name} has no free blocks"
    return plain_table(["order", "migratetype", *numbers.names], rows)


def plain_table(headings: Sequence[str], rows: Sequence[Row]) -> str:
    """Return rows as aligned text, two columns of words and the numbers, with a mark where changed."""
    # Behind each number there is room for the mark, so behind each heading, too.
    lines = [[*headings[:2], *(f"{heading} " for heading in headings[2:])]]
    for row in rows:
        marks = [CHANGED if changed else " " for changed in row.changed]
        lines.append([*row.words, *map("".join, zip(row.shown, marks, strict=True))])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: list[str], widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
    cells += [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
    return "  ".join(cells).rstrip()

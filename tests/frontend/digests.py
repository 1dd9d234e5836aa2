"""A number for everything that a state of the simulator holds: the same as ``digest.js`` computes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import MAX_ORDER_NR_PAGES, PAGES_PER_SECTION
from memsim.linux.include.mmzone import COUNTERS
from memsim.state.event import LEFT_OUT
from memsim.state.recording import SPANS

if TYPE_CHECKING:
    from memsim.state.event import Event
    from memsim.state.kernel import State
    from memsim.state.section import Section
    from memsim.view.explorer.timeline import Walk

EVERY_PAGE = (0, 1 << 52)
"""Where a tape left out events, they may have touched any page."""


def touched(event: Event, block_pages: int) -> tuple[int, int]:
    """Return the first pfn and the number of pages that an event writes to; (0, 0) if it is about none.

    >>> from memsim.state.event import Event
    >>> touched(Event(0, "", 0, target="Normal", primitive="del_from_free_list", args=(1024, 3, 0)), 32768)
    (1024, 8)
    """
    if event.primitive == LEFT_OUT:
        return EVERY_PAGE
    return SPANS[event.primitive](event.args, block_pages) if event.primitive else (0, 0)


def digests(walk: Walk) -> list[list[int]]:
    """Return the digests of each kernel at every moment of a walk."""
    return [_of_side(walk, side) for side in walk.runs]


def _of_side(walk: Walk, side: str) -> list[int]:
    tape, known, found, last = walk.tapes[side], {}, [], -1
    for index in range(len(walk.moments)):
        place = walk.place(index, side)
        for event in tape.events[last + 1 : place + 1]:
            first, nr_pages = touched(event, walk.block_pages)
            if (first, nr_pages) == EVERY_PAGE:
                known.clear()
            elif nr_pages:
                for nr in range(first // PAGES_PER_SECTION, (first + nr_pages - 1) // PAGES_PER_SECTION + 1):
                    known.pop(nr, None)
        last = place
        found.append(digest(tape.at(place), known))
    return found


def digest(state: State, known: dict[int, str]) -> int:
    """Return the digest of a state; ``known`` has what was found of sections that nobody wrote to since."""
    parts = []
    for nr, section in sorted(state.memmap.sections.items()):
        if nr not in known:
            known[nr] = _section(nr, section)
        parts.append(known[nr])
    for zone in state.zones:
        parts += [zone.name, ",".join(f"{name}={getattr(zone, name)}" for name in COUNTERS)]
        free = {(o, m): blocks for o, area in enumerate(zone.free_area) for m, blocks in enumerate(area)}
        for lists in (free, zone.pcp):
            parts += [
                f"{order} {kind} {zlib.crc32(np.fromiter(blocks, np.float64).tobytes())}"
                for (order, kind), blocks in sorted(lists.items())
                if blocks
            ]
    shown = ",".join(f"{block}={text}" for block, text in state.blocks.items())
    parts += [str(state.totalram_pages), shown, "\n".join(state.log)]
    return zlib.crc32("\n".join(parts).encode())


def _section(nr: int, section: Section) -> str:
    pages = section.pages
    numbers = []
    for at in range(0, PAGES_PER_SECTION, MAX_ORDER_NR_PAGES):
        crc = 0
        for part in (pages.flags, pages.type, pages.order, pages.refcount):
            crc = zlib.crc32(part[at : at + MAX_ORDER_NR_PAGES].tobytes(), crc)
        numbers.append(crc)
    return f"{nr} {','.join(map(str, numbers))} {zlib.crc32(bytes(section.pageblocks))} {int(section.online)}"

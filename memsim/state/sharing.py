"""Copies of a state that cost nothing until one of them is written: the moments of a tape.

:func:`share` returns a second state on the same sections and free lists. From then on the primitives of
both first make a private copy of what they are about to write. A write that bypasses the primitives would
change both states, so no shortcut of :mod:`memsim.fast` may get one.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from memsim.linux.include.layout import pfn_to_section_nr
from memsim.linux.include.mmzone import Zone
from memsim.state.memmap import Memmap
from memsim.state.recording import PRIMITIVES, is_recorded, subclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.state.state import State


def share(state: State) -> State:
    """Return a copy that shares memmap and free lists with this state until one of the two writes.

    Fast, whatever the size of the machine. A state that is being watched cannot be shared: ``copy()`` it.
    """
    memmap = Memmap(state.memmap.encoding)
    memmap.sections = dict(state.memmap.sections)
    zones = [zone.copy_with([list(area) for area in zone.free_area]) for zone in state.zones]
    twin = state.copy_with(memmap, zones)
    for each in (state, twin):
        for part in (each.memmap, *each.zones):
            _begin_sharing(part)
    return twin


def _begin_sharing(part: Any) -> None:  # noqa: ANN401 (a memmap or a zone)
    """Make a memmap or a zone copy what it shares with others before it writes it."""
    kind = type(part)
    if is_recorded(kind):
        msg = f"a {kind.__name__} cannot be shared: share a copy() of its state"
        raise TypeError(msg)
    part.__class__ = SHARED.get(kind, kind)
    part.private = set()
    """Section numbers, or (order, migratetype) of free lists, that nothing else uses."""


def make_sections_private(memmap: Any, pfn: int, nr_pages: int) -> None:  # noqa: ANN401 (a shared memmap)
    """Replace the shared sections of a range by copies."""
    for nr in range(pfn_to_section_nr(pfn), pfn_to_section_nr(pfn + nr_pages - 1) + 1):
        if nr not in memmap.private:
            memmap.private.add(nr)
            if nr in memmap.sections:
                memmap.sections[nr] = memmap.sections[nr].copy()


def make_list_private(zone: Any, order: int, migratetype: int) -> None:  # noqa: ANN401 (a shared zone)
    """Replace a shared free list by a copy."""
    if (order, migratetype) not in zone.private:
        zone.private.add((order, migratetype))
        area = zone.free_area[order]
        area[migratetype] = area[migratetype].copy()


def _copying_sections(name: str) -> Callable[..., None]:
    span = PRIMITIVES[Memmap][name]

    @functools.wraps(getattr(Memmap, name))
    def write(self: Memmap, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (any argument)
        make_sections_private(self, *span(args, 0))
        getattr(Memmap, name)(self, *args, **kwargs)

    return write


def _copying_lists(name: str) -> Callable[..., None]:
    @functools.wraps(getattr(Zone, name))
    def write(self: Zone, blocks: Any, order: int, migratetype: int) -> None:  # noqa: ANN401 (a pfn or many)
        make_list_private(self, order, migratetype)
        getattr(Zone, name)(self, blocks, order, migratetype)

    return write


SHARED: dict[type, type] = {
    Memmap: subclass("Shared", Memmap, {name: _copying_sections(name) for name in PRIMITIVES[Memmap]}),
    Zone: subclass(
        "Shared", Zone, {name: _copying_lists(name) for name in PRIMITIVES[Zone] if "free_list" in name}
    ),
}
"""Class -> its twin, whose primitives copy what is shared before they write it."""

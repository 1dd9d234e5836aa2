"""What recordings of real kernels say at the moments of a walk.

Left out: moments at which nothing was recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from memsim.view.explorer.timeline import Walk
    from memsim.view.model.side import PageMap


def evidence(walk: Walk) -> list[dict[str, Any] | None]:
    """Return for each side its recorded kernel and what it says, by moment; None where none was recorded."""
    return [_of_side(walk, side) for side in walk.runs]


def _of_side(walk: Walk, side: str) -> dict[str, Any] | None:
    if side not in walk.recordings:
        return None
    probes = {}
    for index in sorted(walk.probes[side]):
        seen = walk.recorded(index, side)
        probes[index] = {
            "says": seen.says,
            "agrees": seen.agrees,
            "pages": seen.pages,
            "map": None if seen.page_map is None else _runs(seen.page_map),
        }
    return {"kernel": walk.kernel_of(side), "block": walk.block, "probes": probes}


def _runs(page_map: PageMap) -> list[list[int]]:
    """Return a recorded map as runs: pages, class, order of the free block that begins there (-1: none)."""
    classes, heads = page_map.classes, page_map.heads
    begins = heads >= 0
    begins[0] = True
    begins[1:] |= classes[1:] != classes[:-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=len(classes))
    return [lengths.tolist(), classes[starts].tolist(), heads[starts].tolist()]

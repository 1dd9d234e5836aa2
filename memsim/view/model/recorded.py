"""The class of every page of a block as a recording of a real kernel has it.

Left out: whether the recording agrees with a simulated state; that is ``compare_probe()`` of
:mod:`memsim.recordings.compare`, which compares more than classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.linux.include.page_flags import PageFlag
from memsim.recordings.schema import runs_of
from memsim.view.model.page_class import PageClass, choose, inside_free_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    from memsim.recordings.observation import Observation
    from memsim.view.model.page_class import Classes, Mask

_UNDEFINED = 0xFF
_FLAGS = {
    "reserved": PageFlag.RESERVED,
    "self_hosted": PageFlag.VMEMMAP_SELF_HOSTED,
    "hwpoison": PageFlag.HWPOISON,
}


def recorded_classes(observation: Observation, probe: dict[str, Any], block_id: int) -> Classes | None:
    """Return the class of every page of a block as a real kernel had it, or None if not recorded."""
    pages = recorded_pages(observation, probe, block_id)
    if pages is None:
        return None
    flags, offline, heads, says = pages
    classes = choose(flags, offline=offline, free=inside_free_blocks(heads))
    classes[says != 0] = says[says != 0]
    classes[says == _UNDEFINED] = PageClass.ABSENT
    return classes


def recorded_heads(
    observation: Observation, probe: dict[str, Any], block_id: int
) -> npt.NDArray[np.int8] | None:
    """Return what :func:`free_heads` returns, of a recording."""
    pages = recorded_pages(observation, probe, block_id)
    return None if pages is None else pages[2]


def recorded_pages(
    observation: Observation, probe: dict[str, Any], block_id: int
) -> tuple[npt.NDArray[np.uint32], Mask, npt.NDArray[np.int8], Classes] | None:
    """Return a recording's run-length list as arrays: flags, Offline, order at heads, and what is unknown."""
    seen = probe.get("blocks", {}).get(str(block_id), {})
    if "pages" not in seen:
        return None
    runs = runs_of(seen["pages"], observation.name)
    counts = [count for count, _ in runs]
    legend = [_legend_entry(observation.states[key]) for _, key in runs]
    flags, offline, heads, says = (
        np.repeat(np.array(column, kind), counts)
        for column, kind in zip(zip(*legend, strict=True), (np.uint32, bool, np.int8, np.uint8), strict=True)
    )
    return flags, offline, heads, says


def _legend_entry(state: dict[str, Any]) -> tuple[int, bool, int, int]:
    if state.get("undefined"):
        return 0, False, -1, _UNDEFINED
    if state.get("managed"):
        return 0, False, -1, int(PageClass.UNTOLD)
    flags = sum(int(flag) for name, flag in _FLAGS.items() if name in state["flags"])
    order = state.get("order", 0) if state["type"] == "buddy" else -1
    return flags, state["type"] == "offline", order, 0

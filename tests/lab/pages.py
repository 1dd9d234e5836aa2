"""From raw ``struct page`` bytes to the states that a recording names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.lab.layout import Layout

FLAG_ORDER = ("reserved", "dirty", "self_hosted", "hwpoison")
LETTERS = dict(zip(FLAG_ORDER, "RDSP", strict=True))
TYPES = ("none", "buddy", "offline")
FOREIGN, MANAGED, UNDEFINED = -1, -2, -3
"""Negative codes: a page that the running system uses; any page that the buddy manages; not initialised."""
_NO_TYPE, _OTHER_TYPE = 0xFFFFFFFF, 9
_REFCOUNT, _ORDER, _TYPE = 8, 12, 20
"""Where a code has the refcount, the order and the type; its lowest bits are the flags."""
_MOST_ORDER = 15
FREE = 0
"""The code of a page inside a free block, or on a per-cpu list."""


@dataclass(frozen=True)
class Pages:
    """A block's pages, decoded."""

    codes: npt.NDArray[np.int64]
    pinned: int
    """Pages with more than one reference."""
    unmovable: int
    """Pages of the running system that it cannot migrate: in use, and on no LRU list."""


def decode(raw: npt.NDArray[np.uint8], layout: Layout, *, self_hosting: bool) -> Pages:
    """Decode struct pages.

    Parameters
    ----------
    raw
        Bytes, one row a page.
    layout
        Of the kernel.
    self_hosting
        Whether the kernel may put a block's struct pages into the block. The bit of
        PG_vmemmap_self_hosted means something else for other pages, and is passed over without.
    """

    def field(name: str, kind: str) -> npt.NDArray[Any]:
        at = layout.page[name]
        return np.ascontiguousarray(raw[:, at : at + np.dtype(kind).itemsize]).view(kind).ravel()

    low = field("flags", "<u8") & np.uint64((1 << layout.nr_flags) - 1)
    refcount = field("refcount", "<i4").astype(np.int64)
    kind = types_of(field("page_type", "<u4"), layout.type_encoding)
    flags, known = np.zeros(len(raw), np.int64), 0
    for number, name in enumerate(FLAG_ORDER):
        if name in layout.flags and (name != "self_hosted" or self_hosting):
            flags |= ((low >> np.uint64(layout.flags[name])) & np.uint64(1)).astype(np.int64) << number
            known |= 1 << layout.flags[name]
    reserved, dirty = flags & 1 != 0, flags & 2 != 0
    unnamed = (low & np.uint64(~known & ((1 << layout.nr_flags) - 1))) != 0
    in_use = (kind == 0) & (refcount == 1) & (flags & 0b1101 == 0)
    foreign = (
        unnamed | (kind == _OTHER_TYPE) | (refcount < 0) | (refcount > 1) | in_use | (dirty & (kind != 2))
    )
    private = np.minimum(field("private", "<u8"), np.uint64(_MOST_ORDER)).astype(np.int64)
    order = np.where(kind == 1, private, 0)
    codes = kind << _TYPE | order << _ORDER | np.clip(refcount, 0, 1) << _REFCOUNT | flags
    codes[foreign] = FOREIGN
    on_lru = (low >> np.uint64(layout.lru)) & np.uint64(1) != 0
    stuck = foreign & ~on_lru & ~reserved & ((refcount > 0) | (kind == _OTHER_TYPE))
    return Pages(codes, int((refcount > 1).sum()), int(stuck.sum()))


def types_of(stored: npt.NDArray[np.uint32], encoding: str) -> npt.NDArray[np.int64]:
    """Return the type of each page as an index into TYPES, or 9 for any other type.

    >>> types_of(np.array([0xFFFFFFFF, 0xF1000000, 0xF0000000], np.uint32), "byte").tolist()
    [0, 2, 1]
    >>> types_of(np.array([0xFFFFFEFF, 0xFFFFFF7F], np.uint32), "inverted-bits").tolist()
    [2, 1]
    """
    found = np.where(stored == _NO_TYPE, 0, _OTHER_TYPE).astype(np.int64)
    if encoding == "byte":
        top = stored >> np.uint32(24)
        return np.select([top == 0xF0, top == 0xF1], [1, 2], found)
    base, buddy, offline = (
        (0xF0000000, 0x80, 0x100) if encoding == "inverted-bits" else (0x80000000, 0x40000000, 0x20000000)
    )

    def is_type(bit: int) -> npt.NDArray[np.bool_]:
        result: npt.NDArray[np.bool_] = stored & np.uint32(base | bit) == np.uint32(base)
        return result

    return np.select([is_type(buddy), is_type(offline)], [1, 2], found)


def is_buddy(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which pages head a free block."""
    heads: npt.NDArray[np.bool_] = (codes >= 0) & (codes >> _TYPE == 1)
    return heads


def is_offline_type(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which pages have the type Offline."""
    offline: npt.NDArray[np.bool_] = (codes >= 0) & (codes >> _TYPE == 2)
    return offline


def outside_free_blocks(codes: npt.NDArray[np.int64]) -> int:
    """Return how many pages look free and are in no free block: on a per-cpu list, or on their way."""
    covered = np.zeros(len(codes) + 1, np.int64)
    heads = np.flatnonzero(is_buddy(codes))
    covered[heads] += 1
    ends = np.minimum(heads + (1 << ((codes[heads] >> _ORDER) & 0xFF)), len(codes))
    np.subtract.at(covered, ends, 1)
    return int(((codes == FREE) & (np.cumsum(covered[:-1]) == 0)).sum())


def legend(code: int) -> tuple[str, dict[str, Any]]:
    """Return the key and the state of a code, as a recording's legend has them.

    >>> legend(2 << 20 | 1 << 8)
    ('O/1', {'type': 'offline', 'refcount': 1, 'flags': []})
    """
    if code == UNDEFINED:
        return "?", {"undefined": True}
    if code == MANAGED:
        return "*", {"managed": True}
    kind, order, refcount = TYPES[code >> _TYPE], code >> _ORDER & 0xFF, code >> _REFCOUNT & 1
    flags = [name for number, name in enumerate(FLAG_ORDER) if code >> number & 1]
    state: dict[str, Any] = {"type": kind, "refcount": refcount, "flags": flags}
    key = "".join(LETTERS[flag] for flag in flags)
    if kind == "buddy":
        return f"{key}B{order}", state | {"order": order}
    key += "O" if kind == "offline" else ""
    return f"{key or 'n'}/{refcount}", state


def run_lengths(codes: npt.NDArray[np.int64]) -> list[list[Any]]:
    """Return the codes as a run-length list: [count, code], and pairs that repeat as [times, [pair]].

    >>> run_lengths(np.array([5, 5, 1, 0, 1, 0, 7]))
    [[2, 5], [2, [[1, 1], [1, 0]]], [1, 7]]
    """
    cuts = np.flatnonzero(np.diff(codes)) + 1
    starts, ends = np.concatenate(([0], cuts)), np.concatenate((cuts, [len(codes)]))
    runs = [[int(end - start), int(codes[start])] for start, end in zip(starts, ends, strict=True)]
    out: list[list[Any]] = []
    at = 0
    while at < len(runs):
        times = 1
        while runs[at : at + 2] == runs[at + 2 * times : at + 2 * times + 2] and at + 2 * times + 1 < len(
            runs
        ):
            times += 1
        out.append([times, runs[at : at + 2]] if times > 1 else runs[at])
        at += 2 * times if times > 1 else 1
    return out

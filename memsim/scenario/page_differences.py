"""Where two kernels differ: which struct pages, in what, and from which moment to which.

Made from a :class:`~memsim.scenario.comparison.Comparison`, moment by moment. Pages that differ in the same
way
(flags, type, refcount, order) are counted together. Left out: pageblock types, free lists, per-cpu lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memsim.linux.include.layout import section_nr_to_pfn
from memsim.linux.include.page_flags import ALL_FLAGS, LIVE, PageFlag, PageType
from memsim.scenario.moments import moment_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from memsim.linux.include.page_flags import PageTypeEncoding
    from memsim.scenario.comparison import Comparison, Moment
    from memsim.state.section import Pages, Section

    Packed = npt.NDArray[np.int64]

ABSENT = -1
"""Stands for a page without a struct page."""
_COMPARED = np.uint32(ALL_FLAGS | LIVE)


class Kind(NamedTuple):
    """One way in which pages differ: what a page is on either kernel."""

    before: str
    after: str


@dataclass
class Stretch:
    """Pages that differ in one way from one moment to another."""

    kind: Kind
    first: int
    """Index of the first moment at which they do."""
    last: int
    pages: int
    """The most at one moment."""
    fewest: int
    pfn: int
    """The first page, at the first moment."""


class Found(NamedTuple):
    """How many pages differ in one way at a moment, and the first of them."""

    pages: int
    pfn: int


def differences_at(both: Comparison, moment: Moment) -> dict[Kind, Found]:
    """Return in which ways struct pages differ at a moment."""
    before, after = both.states(moment)
    encodings = before.memmap.encoding, after.memmap.encoding
    found: dict[Kind, Found] = {}
    for nr in sorted(before.memmap.sections.keys() | after.memmap.sections.keys()):
        one, other = before.memmap.sections.get(nr), after.memmap.sections.get(nr)
        for kind, pages, at in _of_section(one, other, encodings):
            so_far = found.get(kind, Found(0, section_nr_to_pfn(nr) + at))
            found[kind] = Found(so_far.pages + pages, so_far.pfn)
    return found


def _of_section(
    one: Section | None, other: Section | None, encodings: tuple[PageTypeEncoding, PageTypeEncoding]
) -> Iterator[tuple[Kind, int, int]]:
    """Yield (kind, pages, index of the first) of one section."""
    patterns = [None if section is None else section.pages.pattern for section in (one, other)]
    if patterns[0] is not None and patterns[0] == patterns[1]:
        return
    old, new = (None if section is None else packed(section.pages) for section in (one, other))
    if old is None or new is None:
        there = new if old is None else old
        assert there is not None  # noqa: S101 (one of the two has the section)
        old, new = (np.full_like(there, ABSENT) if values is None else values for values in (old, new))
    differ = np.flatnonzero((old != new) & (_live(old) | _live(new)))
    if not len(differ):
        return
    olds, old_at = np.unique(old[differ], return_inverse=True)
    news, new_at = np.unique(new[differ], return_inverse=True)
    codes, firsts, counts = np.unique(old_at * len(news) + new_at, return_index=True, return_counts=True)
    for code, first, count in zip(codes, firsts, counts, strict=True):
        kind = Kind(
            described(int(olds[code // len(news)]), encodings[0]),
            described(int(news[code % len(news)]), encodings[1]),
        )
        yield kind, int(count), int(differ[first])


def packed(pages: Pages) -> Packed:
    """Return what is compared of each page as one number."""
    flags = (pages.flags & _COMPARED).astype(np.int64)
    low = pages.type.astype(np.int64) << 24 | pages.order.astype(np.int64) << 16
    return flags << 32 | low | pages.refcount.astype(np.int64) & 0xFFFF


def _live(values: Packed) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (values >= 0) & (values >> 32 & LIVE != 0)
    return found


def described(value: int, encoding: PageTypeEncoding) -> str:
    """Return what a page is, in the kernel's words."""
    if value == ABSENT:
        return "no struct page"
    flags = value >> 32
    if not flags & LIVE:
        return "not initialised"
    types = sorted(kind.value.title() for kind in encoding.types(value >> 24 & 0xFF))
    words = [f"PG_{flag.name.lower()}" for flag in PageFlag(flags & ALL_FLAGS) if flag.name]
    words += [f"type {' and '.join(types)}"] if types else []
    if PageType.BUDDY in encoding.types(value >> 24 & 0xFF):
        words.append(f"order {value >> 16 & 0xFF}")
    refcount = (value & 0xFFFF) - ((value & 0x8000) << 1)
    return ", ".join([*(words or ["no flag, no type"]), f"refcount {refcount}"])


def stretches(both: Comparison, moments: Sequence[Moment]) -> list[Stretch]:
    """Return in which ways pages differ and from which moment to which, in order of the first."""
    done: list[Stretch] = []
    running: dict[Kind, Stretch] = {}
    for index, moment in enumerate(moments):
        found = differences_at(both, moment)
        ended = [kind for kind in running if kind not in found]
        done.extend(running.pop(kind) for kind in ended)
        for kind, (pages, pfn) in found.items():
            stretch = running.setdefault(kind, Stretch(kind, index, index, pages, pages, pfn))
            stretch.last = index
            stretch.pages, stretch.fewest = max(stretch.pages, pages), min(stretch.fewest, pages)
    return sorted([*done, *running.values()], key=lambda stretch: (stretch.first, -stretch.pages))


def sentence(stretch: Stretch, moments: Sequence[Moment]) -> str:
    """Return one stretch in words."""
    most = f"{stretch.pages:,}"
    pages = most if stretch.fewest == stretch.pages else f"{stretch.fewest:,} to {most}"
    first, last = moment_name(moments[stretch.first]), moment_name(moments[stretch.last])
    length = stretch.last - stretch.first + 1
    if stretch.last == len(moments) - 1:
        when = f"from {first} to the end"
    else:
        when = f"at {first}" if length == 1 else f"from {first} to {last}"
    kind = f"{stretch.kind.before} before the patch, {stretch.kind.after} after it"
    noun = "page" if most == "1" else "pages"
    return (
        f"{pages} {noun} {when} ({length} of {len(moments)} moments), the first pfn {stretch.pfn:#x}: {kind}"
    )

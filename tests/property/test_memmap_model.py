"""The memmap against the simplest model there is: one small record for each page, written one by one.

The model holds only pages near the borders of ranges, pageblocks and sections: an operation on a range
can go wrong nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from memsim.linux.include.mmzone import Zone, ZoneType
from memsim.linux.include.page_flags import ALL_FLAGS, NO_TYPE, PageFlag, PageType, PageTypeEncoding
from memsim.state.memmap import Memmap
from memsim.state.state import State

START, SECTIONS = 0x100000, 3
END = START + SECTIONS * 32768
BORDERS = [START + n for n in (1, 512, 1024, 32256, 32767, 32768, 32769, 33280, 65535, 65536, 98303)]
TYPES = (PageType.BUDDY, PageType.OFFLINE, PageType.TABLE)


@dataclass(frozen=True)
class Naive:
    """One page."""

    flags: int = 0
    types: frozenset[PageType] = field(default_factory=frozenset)
    order: int = 0
    refcount: int = 1
    migratetype: int = 0


pfns = st.one_of(st.sampled_from([START, *BORDERS]), st.integers(START, END - 1))
flag_masks = st.sampled_from([PageFlag.RESERVED, PageFlag.LRU | PageFlag.DIRTY, PageFlag(ALL_FLAGS)])


@st.composite
def ranges(draw):
    """Return (pfn, nr_pages) within the three sections."""
    ends = st.one_of(st.sampled_from([*BORDERS, END]), st.integers(START, END))
    first, last = sorted((draw(pfns), draw(ends)))
    return first, last - first


operations = st.lists(
    st.one_of(
        st.tuples(st.just("init_pages"), ranges(), flag_masks, st.sampled_from(TYPES)),
        st.tuples(st.just("poison"), ranges()),
        st.tuples(st.sampled_from(["set_flags", "clear_flags"]), ranges(), flag_masks),
        st.tuples(st.sampled_from(["set_type", "clear_type"]), ranges(), st.sampled_from(TYPES)),
        st.tuples(st.just("set_refcount"), ranges(), st.integers(-1, 300)),
        st.tuples(st.just("set_migratetype"), ranges(), st.integers(0, 4)),
        st.tuples(st.just("set_buddy_order"), pfns, st.integers(0, 10)),
        st.tuples(st.sampled_from(["clear_buddy", "reset_type"]), pfns),
        st.tuples(st.just("copy")),
    ),
    max_size=12,
)


# What an operation makes of one page; ``others`` are the types that may stay beside the one in question.
CHANGES = {
    "init_pages": lambda page, _, flags, kind: Naive(int(flags), frozenset({kind}), 0, 1, page.migratetype),
    "poison": lambda page, _: Naive(ALL_FLAGS, frozenset(), 0xFF, -1, page.migratetype),
    "set_flags": lambda page, _, flags: replace(page, flags=page.flags | flags),
    "clear_flags": lambda page, _, flags: replace(page, flags=page.flags & ~flags),
    "set_type": lambda page, others, kind: replace(page, types=others | {kind}),
    "clear_type": lambda page, others, kind: replace(page, types=others - {kind}),
    "set_refcount": lambda page, _, refcount: replace(page, refcount=refcount),
    "set_migratetype": lambda page, _, migratetype: replace(page, migratetype=migratetype),
    "set_buddy_order": lambda page, others, order: replace(
        page, types=others | {PageType.BUDDY}, order=order
    ),
    "clear_buddy": lambda page, others: replace(page, types=others - {PageType.BUDDY}, order=0),
    "reset_type": lambda page, _: replace(page, types=frozenset()),
}


def watched(script):
    """Return the pages that a script can get wrong, and their neighbours in other pageblocks."""
    ends = {START, END}
    for _, *arguments in script:
        if arguments:
            first, size = arguments[0] if isinstance(arguments[0], tuple) else (arguments[0], 1)
            ends |= {first, first + size}
    near = {end + by for end in ends.union(BORDERS) for by in (-1, 0, 1, 511, 512)}
    return sorted(pfn for pfn in near if START <= pfn < END)


def seen(memmap, pfn):
    """Return a page of the memmap as the model would hold it."""
    page = memmap.raw(pfn)
    return Naive(int(page.flags), page.types, page.order, page.refcount, page.migratetype)


def do(memmap, name, arguments):
    """Do an operation on the memmap."""
    if name == "init_pages":
        (pfn, size), flags, page_type = arguments
        memmap.init_pages(pfn, size, ZoneType.NORMAL, int(flags), memmap.encoding.code(page_type))
    elif isinstance(arguments[0], tuple):
        getattr(memmap, name)(*arguments[0], *arguments[1:])
    else:
        getattr(memmap, name)(*arguments)


def touched(name, pfn, at):
    """Return whether an operation at ``at`` concerns a page; of pageblocks, those that start there."""
    first, size = at if isinstance(at, tuple) else (at, 1)
    return first <= (pfn - pfn % 512 if name == "set_migratetype" else pfn) < first + size


@settings(max_examples=60)
@given(operations, st.sampled_from([PageTypeEncoding("byte"), PageTypeEncoding("inverted-bits")]))
def test_range_operations_do_to_each_page_what_they_say_and_copies_keep_what_they_had(script, encoding):
    memmap = Memmap(encoding)
    for nr in range(SECTIONS):
        memmap.add_section(32 + nr)
    memmap.init_pages(START, END - START, ZoneType.NORMAL, 0, NO_TYPE)
    model = dict.fromkeys(watched(script), Naive())
    copies = []
    for name, *arguments in script:
        if name == "copy":
            state = State(memmap, [Zone(kind) for kind in ZoneType]).copy()
            copies.append((state.memmap, dict(model)))
            continue
        do(memmap, name, arguments)
        for pfn, page in model.items():
            if touched(name, pfn, arguments[0]):
                others = page.types if encoding.inverted else frozenset()
                model[pfn] = CHANGES[name](page, others, *arguments[1:])
    for one, expected in [(memmap, model), *copies]:
        assert {pfn: seen(one, pfn) for pfn in expected} == expected

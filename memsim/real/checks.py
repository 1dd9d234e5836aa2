"""What the words of a page say together: where it is, what it is, and what cannot be right about it.

Each function takes a :class:`~memsim.real.reading.Reading` and returns sentences with how they are known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memsim.linux.include.layout import PAGES_PER_SECTION, count_trailing_zeros, pageblock_nr_pages
from memsim.real.freed import NOT_WHEN_FREED, PAGE_POOL, bad_reasons, movable_ops
from memsim.real.reading import CONCLUDED, PRINTED, WORD, Fact, list_poison, signed, word_of_counts
from memsim.real.tables import NONE, macro_name
from memsim.real.versions import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memsim.real.reading import Reading
    from memsim.real.versions import Version

MAPCOUNT_RESERVE = -128
"""Numbers below are page types (PAGE_MAPCOUNT_RESERVE); those from here to -2 are an underflow."""
_TAILS_COUNTED_UNTIL = (4, 5)
"""The last version of the table with PG_tail; the flag went in 4.4, the count in 4.5."""
TAIL_MAPPING = 0xDEAD000000000400
BLOCKS = ((PAGES_PER_SECTION, "128 MiB"), (16 * PAGES_PER_SECTION, "2 GiB"))
DRIVERS = ("virtio-mem", "virtio-balloon", "hv_balloon", "xen balloon", "vmw_balloon")
_OF_HOST = {
    "microsoft": ("hv_balloon",),
    "hyper-v": ("hv_balloon",),
    "xen": ("xen balloon",),
    "vmware": ("vmw_balloon",),
    "qemu": ("virtio-mem", "virtio-balloon"),
    "kvm": ("virtio-mem", "virtio-balloon"),
    "cloud": ("virtio-mem", "virtio-balloon"),
}
_SMALL_ON_ARM64 = (5, 12)
"""Since when sections of arm64, which its memory blocks are, have 128 MiB and no longer 1 GiB."""
WITH_4K = ("x86-64", "arm64", "riscv64", None)
_IMPLAUSIBLE_ORDER = 10
_NAMED = re.compile(r"BUG: Bad page state .*pfn:([0-9a-f]+)")


def hexed(value: int) -> str:
    """Return a number in hexadecimal."""
    return f"{value:#x}"


# ---- where -----------------------------------------------------------------------------------------


def where(reading: Reading) -> list[Fact]:
    """Return the pfn, the zone and the node, and the memory block the page is in."""
    facts, pfn = [], reading.dump.pfn
    if pfn is not None and reading.dump.pfn_how:
        facts.append(Fact(f"pfn {pfn:#x}: {reading.dump.pfn_how}.", CONCLUDED))
    elif pfn is not None:
        facts.append(Fact(f"pfn {pfn:#x}.", PRINTED))
    facts += _zone(reading)
    if reading.zone_name == "Device":
        text = "Device memory has no memory block, and pfn_to_online_page() returns NULL for it."
        facts.append(Fact(text, CONCLUDED))
    elif pfn is not None and "64k" in reading.dump.context.release and reading.architecture == "arm64":
        facts.append(Fact(_place_of_64k(pfn, reading.versions[1]), CONCLUDED))
    elif pfn is not None and reading.architecture in WITH_4K and reading.bits == 64:  # noqa: PLR2004 (bits)
        facts.append(Fact(place(pfn, reading.architecture, reading.versions[1]), CONCLUDED))
    return facts


def place(pfn: int, architecture: str | None = None, version: Version = NEWEST) -> str:
    """Return in which block, section and pageblock a pfn is.

    >>> place(0x9a0, "x86-64")
    'Memory block 0, whether of 128 MiB or of 2 GiB; section 0, pageblock 0x4; aligned to order 5.'
    >>> place(0x104300, "arm64", (5, 10))
    'With pages of 4 KiB: memory block 4 of 1 GiB; section 4, pageblock 0x821; aligned to order 8.'
    """
    small, large = (pfn // size for size, _ in BLOCKS)
    block = (
        f"Memory block {small}, whether of 128 MiB or of 2 GiB"
        if small == large
        else f"Memory block {small} of 128 MiB, or {large} of 2 GiB"
    )
    order = count_trailing_zeros(pfn) if pfn else 0
    aligned = f"aligned to order {order}" if pfn else "aligned to any order"
    section, pageblock = pfn // PAGES_PER_SECTION, pfn // pageblock_nr_pages
    if architecture == "arm64":
        size, block = (PAGES_PER_SECTION, "128 MiB") if version >= _SMALL_ON_ARM64 else (1 << 18, "1 GiB")
        section = pfn // size
        block = f"With pages of 4 KiB: memory block {section} of {block}"
    sizes = "" if architecture else " (sizes of x86-64)"
    return f"{block}; section {section}, pageblock {pageblock:#x}{sizes}; {aligned}."


def _place_of_64k(pfn: int, version: Version) -> str:
    """Return in which block a pfn is on arm64 with pages of 64 KiB, whose blocks are sections.

    >>> _place_of_64k(0xA140, (5, 14))
    'With pages of 64 KiB: memory block 5 of 512 MiB; aligned to order 6.'
    """
    bits, size = (13, "512 MiB") if version >= _SMALL_ON_ARM64 else (14, "1 GiB")
    order = f"order {count_trailing_zeros(pfn)}" if pfn else "any order"
    return f"With pages of 64 KiB: memory block {pfn >> bits} of {size}; aligned to {order}."


def _zone(reading: Reading) -> list[Fact]:
    zone, node = reading.zone, reading.numbers.get("node")
    if zone is None:
        return _unknown_zone(reading)
    at = f", node {node}" if node is not None else ""
    facts = [Fact(f"Zone {zone}{at}.", reading.numbers_how)]
    if reading.numbers_how == CONCLUDED:
        where = reading.zone_choices[0].name
        text = f"Zone {zone}{at} in the configuration of {where}; it depends on the configuration."
        facts = [Fact(text, CONCLUDED)]
    name = reading.usual_zone_name
    if name is not None and not reading.damaged:
        arch = reading.architecture or "x86-64"
        if reading.zone_name is None:
            other = "" if reading.architecture else "the architecture is another one, "
            text = (
                f"Zone {zone} would be {name} in the usual {arch} configuration, but "
                f"pfn {reading.dump.pfn:#x} is not in it: {other}this kernel has other zones (without "
                "ZONE_DMA or ZONE_DMA32), or the word is damaged."
            )
        else:
            unknown = "" if reading.architecture else "; the architecture is not known"
            text = f"Zone {zone} is {name} in the usual {arch} configuration{unknown}."
        facts.append(Fact(text, CONCLUDED))
    return facts


def _unknown_zone(reading: Reading) -> list[Fact]:
    """Return what can be said of the upper bits if no numbers were printed: maybe several zones."""
    word = reading.flags
    if word is None or reading.damaged or not word >> 27:
        return []
    upper = f"The bits above the flags are {word >> 27:#x} (from bit 27 on)"
    if not reading.zone_choices:
        return [Fact(f"{upper}; which of them are zone and node depends on the configuration.", WORD)]
    readings = dict.fromkeys(
        f"zone {found['zone']}, node {found.get('node', 0)} ({layout.name})"
        for layout in reading.zone_choices
        for found in [layout.read(word)]
    )
    return [Fact(f"{upper}; zone and node depend on the configuration: {'; or '.join(readings)}.", WORD)]


# ---- what ------------------------------------------------------------------------------------------


def flags(reading: Reading) -> list[Fact]:
    """Return the names of the flags."""
    if reading.dump.uninitialised:
        return []
    if reading.name_choices:
        texts = [f"{', '.join(names) or 'none'} ({label})" for label, names in _few(reading.name_choices)]
        return [Fact(f"Which flags are set depends on the version: {'; '.join(texts)}.", WORD)]
    if reading.names is None:
        return []
    if not reading.names:
        return [Fact("No flag is set.", reading.names_how)]
    label = f", as {reading.names_of} number them" if reading.names_of else ""
    cut = " (the list was cut off)" if reading.dump.names_cut else ""
    of_head = reading.tail and reading.dump.flags not in {None, reading.dump.raw[0]}
    title = "Flags (the head's)" if of_head else "Flags"
    return [Fact(f"{title}: {', '.join(reading.names)}{cut}{label}.", reading.names_how)]


def _few(choices: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Return at most eight of the possible readings."""
    return list(choices.items())[:8]


def state(reading: Reading) -> list[Fact]:
    """Return what kind of page it is: its type, its counts, whether it is free, a tail page, boot memory."""
    if reading.dump.uninitialised:
        return _never_initialised(reading)
    facts = [fact for rule in _STATES for fact in rule(reading)]
    if reading.refcount is not None and "buddy" not in reading.types:
        whose = " (the head's)" if reading.tail and reading.refcount_how == PRINTED else ""
        facts.append(Fact(f"Refcount {reading.refcount}{whose}{_mapped(reading)}.", reading.refcount_how))
    return facts + _lost_references(reading)


def _lost_references(reading: Reading) -> list[Fact]:
    """Say whether fewer references are left than page tables map the page: each mapping holds one."""
    refcount, mapcount = reading.refcount, reading.dump.mapcount
    compound = reading.tail or reading.dump.order or "head" in (reading.names or ())
    uncounted = compound or reading.zone_name == "Device"  # before 6.15 a mapping of DAX held no reference
    if refcount is None or mapcount is None or reading.types or uncounted:
        return []
    if mapcount <= 0 or refcount >= mapcount:
        return []
    times = "once" if mapcount == 1 else f"{mapcount} times"
    text = (
        f"Page tables map it {times}, each with a reference, but the count is {refcount}: a reference was "
        "dropped too often, or the page was freed while it was mapped."
    )
    return [Fact(text, CONCLUDED)]


def _never_initialised(reading: Reading) -> list[Fact]:
    """Say what PagePoisoned() saw: it tests the flags word only, and offlining poisons pages again."""
    facts = [
        Fact("The struct page is uninitialized and poisoned.", PRINTED),
        Fact("PagePoisoned() tests its flags only: all their bits are ones.", CONCLUDED),
    ]
    if reading.dump.raw and reading.filled:
        facts.append(Fact("All its words are ones.", WORD))
    text = (
        "It was never initialised (its section was not onlined, or the page is in a hole), or its block went "
        "offline again: with CONFIG_DEBUG_VM, remove_pfn_range_from_zone() poisons the struct pages then."
    )
    return [*facts, Fact(text, CONCLUDED)]


def _mapped(reading: Reading) -> str:
    mapcount = reading.dump.mapcount
    if mapcount is None or reading.types:
        return ""
    return ", mapped by no page table" if mapcount == 0 else f", mapcount {mapcount}"


def type_names(types: Sequence[str]) -> str:
    """Return page types as the kernel's macros call them.

    >>> type_names(["buddy", "offline"])
    'Buddy and Offline'
    """
    return " and ".join(map(macro_name, types))


def _typed(reading: Reading) -> list[Fact]:
    """Say the type, and in which encoding it was read."""
    if reading.type_word is None or "buddy" in reading.types:
        return []
    if reading.type_choices:
        names = " or ".join(f"{type_names(types)} ({label})" for label, types in reading.type_choices.items())
        return [Fact(f"Type {names}: {reading.type_word:#010x} depends on the version.", reading.types_how)]
    if reading.types:
        if reading.types_how == PRINTED:
            return [Fact(f"Type {type_names(reading.types)} (page_type {reading.dump.type_text}).", PRINTED)]
        label = reading.encoding.label if reading.encoding else "?"
        text = f"Type {type_names(reading.types)}: {reading.type_word:#010x} in the encoding of {label}."
        facts = [Fact(text, reading.types_how)]
        if any(word in reading.dump.type_text for word in ("unknown", "(null)")):
            text = "The kernel printed no name: page_type_names[] in its mm/debug.c has none for this type."
            facts.append(Fact(text, CONCLUDED))
        return facts
    if reading.type_word == NONE:
        return [Fact("No page type.", WORD)]
    return _wrong_count(reading, signed(reading.type_word))


def _wrong_count(reading: Reading, value: int) -> list[Fact]:
    """Say what a negative ``_mapcount`` is that is not a type."""
    if value >= 0:
        return []
    if "tail" in (reading.names or ()) and reading.versions[1] <= _TAILS_COUNTED_UNTIL:
        text = f"_mapcount is {value}: up to 4.4 it counts the references to a tail page, from -1 on."
    elif MAPCOUNT_RESERVE < value < -1:
        times = "once" if value == -2 else f"{-1 - value} times"  # noqa: PLR2004 (-1 is mapped by none)
        text = f"_mapcount is {value}: the page was unmapped {times} more often than it was mapped."
    else:
        text = f"{value & NONE:#010x} ({value}) is neither a type of any version nor a count of mappings."
    return [Fact(text, reading.types_how)]


def _free(reading: Reading) -> list[Fact]:
    """Type Buddy: the head of a free block, its order in ``private``, to which its pfn must be aligned."""
    if "buddy" not in reading.types:
        return []
    how, facts = reading.types_how, []
    mapcount = reading.dump.mapcount
    if mapcount is not None and mapcount < 0 and reading.versions[0] <= (6, 9):
        text = (
            f"The printed mapcount is the stored word plus one: {mapcount} is {mapcount - 1} "
            f"({mapcount - 1 & NONE:#010x}), type Buddy, and not a wrong count."
        )
        facts.append(Fact(text, CONCLUDED))
    order = reading.raw[5] if reading.raw else None
    if order is None:
        count = "" if reading.refcount is None else f", refcount {reading.refcount}"
        return [*facts, Fact(f"Free: first page of a free block (type Buddy{count}).", how)]
    text = (
        f"Free: first page of a free block of order {order} (type Buddy, refcount "
        f"{reading.refcount}, private {order})."
    )
    facts.append(Fact(text, WORD))
    if order > _IMPLAUSIBLE_ORDER:
        facts.append(Fact(f"No free block has order {order:#x}: private was overwritten.", CONCLUDED))
    elif reading.dump.pfn is not None and reading.dump.pfn & (1 << order) - 1:
        text = (
            f"pfn {reading.dump.pfn:#x} is not aligned to order {order}, as every free block is: "
            "the page is damaged."
        )
        facts.append(Fact(text, CONCLUDED))
    if reading.refcount:
        facts.append(Fact(f"A free page has refcount 0, not {reading.refcount}.", CONCLUDED))
    return facts


def _tail(reading: Reading) -> list[Fact]:
    if not reading.tail:
        return []
    head = reading.dump.raw[1] - 1
    return [Fact(f"A tail page of a compound page, whose head is the struct page at {head:#x}.", WORD)]


def _compound(reading: Reading) -> list[Fact]:
    order = reading.dump.order
    if order is None:
        return []
    size = f"{1 << order} pages" if order < 64 else "which no page has"  # noqa: PLR2004 (bits of a number)
    return [Fact(f"Part of a compound page of order {order} ({size}).", PRINTED)]


def _boot_memory(reading: Reading) -> list[Fact]:
    """PG_reserved, refcount 1, no mapping, on no list: never given to the buddy."""
    raw, names = reading.raw, reading.names or []
    if "reserved" not in names or reading.refcount != 1 or reading.damaged:
        return []
    if raw and (raw[3] or raw[1] != raw[2]):
        return []
    alone = "; its lru points to itself" if raw else ""
    before = reading.versions[0] < (6, 11)
    hotplug = ", or hotplugged memory that was not yet given to the buddy (up to 6.10)" if before else ""
    text = (
        f"PG_reserved with one reference{alone}: boot memory that memblock kept and never freed "
        f"(kernel image, crash kernel, firmware){hotplug}."
    )
    return [Fact(text, CONCLUDED)]


def _patterns(reading: Reading) -> list[Fact]:
    """Return what the values of single words show."""
    raw, facts = reading.dump.raw, []
    if list_poison(raw[1:3], reading.bits):
        facts.append(Fact("lru holds list poison: the page was taken off a list and is on none.", WORD))
    if PAGE_POOL in raw[1:2]:
        facts.append(
            Fact("The second word is the signature of page_pool: a network driver recycles the page.", WORD)
        )
    if movable_ops(reading):
        text = (
            "The page has movable_ops (__PageMovable()): its driver can move it, though it is on no LRU list."
        )
        facts.append(Fact(text, CONCLUDED))
    if len(raw) > 3 and raw[3] == TAIL_MAPPING:  # noqa: PLR2004 (mapping)
        facts.append(Fact("mapping is TAIL_MAPPING: the page is or was a tail page.", WORD))
    return facts


_STATES: tuple[Callable[[Reading], list[Fact]], ...] = (
    _free,
    _typed,
    _tail,
    _compound,
    _boot_memory,
    _patterns,
)


# ---- why -------------------------------------------------------------------------------------------


def why(reading: Reading) -> list[Fact]:
    """Return why the kernel printed the page, and what that means."""
    dump, facts = reading.dump, []
    if dump.reason:
        facts.append(Fact(f"Dumped because: {dump.reason}.", PRINTED))
    if dump.bad_flags:
        facts.append(Fact(f"Flags that a freed page must not have: {dump.bad_flags}.", PRINTED))
    facts += [Fact(f"{line.rstrip('.')}.", PRINTED) for line in dump.said]
    freed_twice = "buddy" in reading.types and (
        dump.source == "bad_page()" or dump.reason == "nonzero mapcount"
    )
    if freed_twice:
        text = (
            "The page is free and was freed again or brought online again, or a block of the wrong order was "
            "freed; 'nonzero mapcount' is the wording for any page type."
        )
        facts.append(Fact(text, CONCLUDED))
    elif dump.reason == "nonzero mapcount" and reading.types:
        text = (
            "'nonzero mapcount' is what bad_page() prints for any page type: this page still has type "
            f"{type_names(reading.types)}."
        )
        facts.append(Fact(text, CONCLUDED))
    elif dump.reason == "nonzero mapcount" and reading.type_word is not None and not reading.type_word >> 31:
        facts.append(Fact(_when(dump.caller, "while a page table still mapped it"), CONCLUDED))
    facts += [Fact(text, CONCLUDED) for start, text in _REASONS if dump.reason.startswith(start)]
    facts += [
        Fact(
            _when(dump.caller, _UNDERFLOW if state == _REFERENCED and (reading.refcount or 0) < 0 else state),
            CONCLUDED,
        )
        for start, state in _STATES_OF_A_BAD_PAGE
        if dump.reason.startswith(start)
    ]
    facts += _all_reasons(reading)
    if dump.source == "bad_page()" and dump.context.bad_page_before:
        facts.append(Fact("Taint flag B: this kernel has reported a bad page before.", PRINTED))
    return facts + _not_when_freed(reading)


def _all_reasons(reading: Reading) -> list[Fact]:
    """Return every test that a bad page fails, if more than one: page_bad_reason() keeps the last."""
    reported = any("Bad page state" in line for line in reading.dump.said)
    if not reported or reading.damaged or reading.tail:
        return []
    failed = [test for test in bad_reasons(reading, reported=True) if test.has]
    if len(failed) < 2:  # noqa: PLR2004 (the one that was printed)
        return []
    names = "; ".join(f"{test.reason} ({test.has})" for test in failed)
    text = f"page_bad_reason() names the last test that fails; this page fails {len(failed)}: {names}."
    facts = [Fact(text, CONCLUDED)]
    if reading.dump.reason in [test.reason for test in failed[:-1]]:
        text = (
            f"The reason that was printed is not '{failed[-1].reason}', the last of them: a word changed "
            "since, or is not of this page."
        )
        facts.append(Fact(text, CONCLUDED))
    return facts


def _not_when_freed(reading: Reading) -> list[Fact]:
    """Return which of the flags in the word make a freed page bad, if they are what it was dumped for."""
    names = [name for name in reading.names or [] if name in NOT_WHEN_FREED]
    if not names or not reading.dump.reason.startswith("PAGE_FLAGS_CHECK_AT_FREE"):
        return []
    return [
        Fact(f"A page that is freed must not have {', '.join(f'PG_{name}' for name in names)}.", CONCLUDED)
    ]


def _when(caller: str, state: str) -> str:
    """Say in what state a page was freed, or allocated: bad_page() serves both, with the same words.

    >>> _when("", "while a page table still mapped it")
    'The page was freed or allocated while a page table still mapped it.'
    """
    later = ": its struct page was written to while it was free" if caller == "allocated" else ""
    return f"The page was {caller or 'freed or allocated'} {state}{later}."


_REASONS = (
    ("unmovable page", "The page cannot be migrated, so its memory block stays online."),
    (
        "migration failure",
        "Offlining or alloc_contig_range() (CMA, virtio-mem) tried to move the page and could not.",
    ),
    ("PAGE_FLAGS_CHECK_AT_FREE", "The page was freed with a flag that only pages in use have."),
    (
        "PAGE_FLAGS_CHECK_AT_PREP",
        "The page was on a free list with a flag set: it was written to after it was freed.",
    ),
    (
        "kasan: bad access detected",
        "Printed for the address that KASAN reports; the page itself need not be wrong.",
    ),
    ("corrupted mapping in tail page", "A tail page that is freed must have TAIL_MAPPING in mapping."),
)
_REFERENCED = "while a reference was held, or one too many was dropped"
_UNDERFLOW = "with a reference count below 0: one too many was dropped"
_STATES_OF_A_BAD_PAGE = (
    ("page still charged to cgroup", "while a memory cgroup was still charged for it"),
    ("nonzero _count", _REFERENCED),
    ("nonzero _refcount", _REFERENCED),
    (
        "non-NULL mapping",
        "while mapping still held a file, anonymous memory, or what another user left there",
    ),
    ("page_pool leak", "while a page_pool still counted it as its own"),
)


# ---- what is wrong -----------------------------------------------------------------------------------


def implausible(reading: Reading) -> list[Fact]:
    """Return what contradicts itself, or cannot be."""
    facts = list(reading.problems)
    facts += _two_pages(reading)
    facts += _overwritten(reading)
    facts += _offline(reading)
    facts += _leftover(reading)
    return facts


def _two_pages(reading: Reading) -> list[Fact]:
    """Return whether the line with BUG names another page than the dump below it."""
    dump = reading.dump
    named = [int(found[1], 16) for line in dump.said[:1] if (found := _NAMED.search(line))]
    if not named or dump.pfn is None or named[0] == dump.pfn:
        return []
    text = (
        f"The line with BUG names pfn {named[0]:#x}, the dump is of pfn {dump.pfn:#x}: these are lines of "
        "two reports, or a number was changed."
    )
    return [Fact(text, CONCLUDED)]


def _overwritten(reading: Reading) -> list[Fact]:
    """Return whether the words are a fill pattern, or text."""
    if reading.dump.uninitialised:
        return []
    if reading.filled:
        byte = (reading.dump.raw or [reading.flags or 0])[0] & 0xFF
        ones = byte == 0xFF  # noqa: PLR2004 (page_init_poison())
        cause = (
            "a memmap that was never initialised, or whose block went offline"
            if ones
            else "the struct page was overwritten"
        )
        text = f"Every byte is {byte:#04x}: {cause}. Its flags, zone and node mean nothing."
        return [Fact(text, WORD)]
    if reading.flags_text and not reading.text:
        text = (
            f"The flags word is the text {reading.flags_text!r}: the struct page was overwritten. Its flags, "
            "zone and node mean nothing."
        )
        return [Fact(text, WORD)]
    if reading.text:
        text = (
            f"The bytes are the text {reading.text!r}: the struct page was overwritten. Its flags "
            "mean nothing."
        )
        return [Fact(text, WORD)]
    return []


def drivers(reading: Reading) -> tuple[str, ...]:
    """Return the drivers that make pages Offline on such a machine; all, if nothing tells the hypervisor."""
    host = reading.dump.context.host.lower()
    return next((names for word, names in _OF_HOST.items() if word in host), DRIVERS)


def _offline(reading: Reading) -> list[Fact]:
    """Type Offline belongs to a balloon or to virtio-mem; on a page in use it is damage."""
    if "offline" not in reading.types or reading.filled:
        return []
    used = [
        name for name in ("lru", "active", "swapbacked", "mlocked", "slab") if name in (reading.names or [])
    ]
    mapped = reading.dump.mapping.strip("0x") != "" or (
        reading.dump.said and any("aops:" in line for line in reading.dump.said)
    )
    if not used and not mapped and (reading.refcount or 0) <= 1:
        if reading.dump.source == "bad_page()":
            return [
                Fact(
                    "It was freed while it was Offline; what frees such a page must clear the type first.",
                    CONCLUDED,
                )
            ]
        text = (
            "Pages of type Offline belong to a driver that took them from the buddy or never gave "
            f"them to it: {', '.join(drivers(reading))}."
        )
        zero = (
            [Fact("Refcount 0: the driver agreed to offlining the memory block.", CONCLUDED)]
            if reading.refcount == 0
            else []
        )
        return [Fact(text, CONCLUDED), *zero]
    text = f"Type Offline is not plausible: {_use(reading, used, mapped=bool(mapped))}."
    return [Fact(text, CONCLUDED), *_one_bit(reading)]


def _use(reading: Reading, used: Sequence[str], *, mapped: bool) -> str:
    parts = []
    if used:
        parts.append(f"the page has {', '.join(used)}")
    if mapped:
        parts.append("it belongs to a file or to anonymous memory")
    if (reading.refcount or 0) > 1:
        parts.append(f"it has {reading.refcount} references")
    return ", ".join(parts)


def _one_bit(reading: Reading) -> list[Fact]:
    """Return whether the type word is one bit away from -1, "no type"."""
    counts = word_of_counts(reading)
    word = counts[0] if counts is not None else reading.type_word
    if word is None or (word ^ NONE).bit_count() != 1:
        return []
    text = (
        f"{word:#010x} is one bit ({word ^ NONE:#x}) away from 'no type': a damaged _mapcount "
        "(memory error, or an underflow), not a balloon."
    )
    return [Fact(text, CONCLUDED)]


def _leftover(reading: Reading) -> list[Fact]:
    """Return bits between the flags and the lowest field that neither explains."""
    if reading.table is None or not reading.layouts or reading.flags is None or reading.filled:
        return []
    end = min(layout.end for layout in reading.layouts)
    low = len(reading.table.names)
    between = reading.flags >> low & (1 << max(end - low, 0)) - 1
    if not between:
        return []
    text = (
        f"Bits {end - 1}-{low} hold {between:#x}: the generation of multi-gen LRU, or flags of this "
        "configuration that have no name."
    )
    return [Fact(text, WORD)]

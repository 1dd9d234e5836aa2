"""One page as its words say it is: names, zone and node, type, counts, each with how it is known.

A :class:`Reading` is made from a :class:`~memsim.real.dump.Dump`. What was printed decides; where
nothing was
printed, words are read with the tables of the version, and where that is not known either, every reading that
is possible is given. Nothing is taken for granted silently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from memsim.real.dump import DEBUGGERS, OF_FAILURES, TRACE_EVENT
from memsim.real.layout import Layout, agreed, plausible, solve, zone_agrees, zone_name
from memsim.real.tables import (
    ARCH_2_SINCE,
    BEFORE_TYPES,
    BITS_BASE,
    NONE,
    TYPE_ENCODINGS,
    UNCACHED_UNTIL,
    TypeEncoding,
    encoding_of_word,
    flag_names,
    flag_tables,
    is_newer_than_tables,
)
from memsim.real.versions import NEWEST, OLDEST, Version, version_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from memsim.real.dump import Dump
    from memsim.real.tables import FlagTable

PRINTED, WORD, CONCLUDED = "printed by the kernel", "read from the word", "concluded"
"""How a sentence is known."""

COUNTS_FOURTH_UNTIL: Version = (4, 17)
"""Until when the word with the counts came fourth."""
FEWEST_FLAGS = {64: 22, 32: 20}
"""Flags that every kernel has at least, by bits of a word."""
DIGITS_32 = 8
"""Hexadecimal digits of a word of 32 bits."""
OLD_ORDER = (0, 4, 5, 1, 2, 6, 3, 7)
OLD_ORDER_32 = (0, 5, 6, 1, 2, 7, 3, 4, 8)
"""Where flags, lru (2 words), mapping, index, private, counts and memcg were before 4.18."""
POISON_BASES = {64: (0xDEAD000000000000, 0x5DEADBEEF0000000), 32: (0,)}
"""What CONFIG_ILLEGAL_POINTER_VALUE adds to a list poison, by bits of a word; the second is that of ppc64."""
VMEMMAP_X86_64 = 0xFFFFEA
"""Top 24 bits of the addresses of struct pages on x86-64 without KASLR."""
SIZE_OF_STRUCT_PAGE = 64
"""Bytes, in the usual configurations of 64-bit kernels."""
TOP_OF_PPC64 = (0xC000, 0xC00A, 0xC00C, 0xF000)
"""Top 16 bits of addresses in the linear map and the memmap of ppc64; nowhere else are they addresses."""
TOP_OF_S390 = 1 << 53
"""Kernel addresses of s390 are below."""
FLAG_BITS = (1 << 27) - 1
"""No kernel has more flags."""


class Fact(NamedTuple):
    """One sentence and how it is known."""

    text: str
    how: str


class Row(NamedTuple):
    """One line of the table: a word of the page, a field in it, its value."""

    word: str
    field: str
    value: str
    how: str


@dataclass
class Reading:
    """A page, read. None: not known."""

    dump: Dump
    bits: int = 64
    architecture: str | None = None
    versions: tuple[Version, Version] = (OLDEST, NEWEST)
    versions_why: str = ""
    flags: int | None = None
    names: list[str] | None = None
    names_how: str = PRINTED
    names_of: str = ""
    """The versions whose tables give the names, where they were not printed."""
    name_choices: dict[str, list[str]] = field(default_factory=dict)
    """Versions -> names, where the names depend on the version and it is not known."""
    table: FlagTable | None = None
    layouts: list[Layout] = field(default_factory=list)
    lowest_field: int = 64
    """The lowest bit that belongs to no flag in one of the layouts."""
    numbers: dict[str, int] = field(default_factory=dict)
    numbers_how: str = PRINTED
    zone_choices: list[Layout] = field(default_factory=list)
    type_word: int | None = None
    encoding: TypeEncoding | None = None
    types: list[str] = field(default_factory=list)
    types_how: str = WORD
    type_choices: dict[str, list[str]] = field(default_factory=dict)
    """Versions -> types, where the type depends on the version and it is not known."""
    big_endian: bool = False
    refcount: int | None = None
    refcount_how: str = PRINTED
    problems: list[Fact] = field(default_factory=list)
    """Where what was printed contradicts itself or the tables."""

    @property
    def raw(self) -> list[int]:
        """The words of the struct page, if all of the first seven were printed."""
        needed = 7 if self.bits == 64 else 8  # noqa: PLR2004 (64-bit)
        return self.dump.raw if len(self.dump.raw) >= needed else []

    @property
    def zone(self) -> int | None:
        """The number of the zone."""
        return self.numbers.get("zone")

    @property
    def usual_zone_name(self) -> str | None:
        """What a zone of this number is called in the usual configuration, even where it cannot be that."""
        if self.zone is None or self.bits != 64:  # noqa: PLR2004 (what 32-bit kernels have, depends on the machine)
            return None
        return zone_name(self.zone, self.architecture, self.version)

    @property
    def zone_name(self) -> str | None:
        """What the zone is called in the usual configuration."""
        agrees = self.zone is None or zone_agrees(self.zone, self.dump.pfn, self.architecture)
        return None if agrees is False else self.usual_zone_name

    @property
    def text(self) -> str:
        """The printable text that the words are, if they are nothing else; else empty."""
        words, size = self.dump.raw or ([self.flags] if self.flags else []), self.bits // 8
        data = b"".join((word & (1 << self.bits) - 1).to_bytes(size, "little") for word in words)
        return _printable(data) if len(data) >= size and not self.filled else ""

    @property
    def flags_text(self) -> str:
        """The printable text that the flags word is, if it is; else empty."""
        if self.flags is None or self.bits != 64 or self.filled:  # noqa: PLR2004 (a word of 32 bits may be one by chance)
            return ""
        return _printable((self.flags & (1 << 64) - 1).to_bytes(8, "little"))

    @property
    def slab(self) -> bool:
        """Whether the page belongs to a slab."""
        return "slab" in self.types or "slab" in (self.names or ())

    @property
    def damaged(self) -> bool:
        """Whether the words are no struct page: never initialised, a fill pattern, or text."""
        return self.dump.uninitialised or self.filled or bool(self.text or self.flags_text)

    @property
    def tail(self) -> bool:
        """Whether the page is a tail page of a compound page: bit 0 of its second word."""
        return len(self.dump.raw) > 1 and bool(self.dump.raw[1] & 1) and not self.filled

    @property
    def filled(self) -> bool:
        """Whether all words are the same repeated byte, so that nothing of them means anything."""
        words = self.dump.raw or ([] if self.flags is None else [self.flags])
        size = self.bits // 8
        parts = {byte for word in words for byte in (word & (1 << self.bits) - 1).to_bytes(size, "big")}
        return bool(words) and len(parts) == 1 and parts != {0}

    @property
    def version(self) -> Version | None:
        """The version, if it is known exactly."""
        low, high = self.versions
        return low if low == high else None


def read_dump(dump: Dump, vmcoreinfo: Mapping[str, int] | None = None) -> Reading:
    """Read one page."""
    versions, why = versions_of(dump)
    pfn = _pfn_of_pointer(dump) if dump.pfn is None else None
    if pfn is not None:
        how = f"its struct page is at 0x{dump.pointer}, if the memmap is where it is without KASLR"
        dump = replace(dump, pfn=pfn, pfn_how=how)
    if has_old_order(dump, versions):
        order = OLD_ORDER_32 if dump.raw_digits == DIGITS_32 else OLD_ORDER
        dump = replace(dump, raw=[dump.raw[at] for at in order if at < len(dump.raw)])
        if versions[0] != versions[1] and versions[1] > COUNTS_FOURTH_UNTIL:
            versions = versions[0], COUNTS_FOURTH_UNTIL
            why += " and its words are in the order up to 4.17"
    reading = Reading(dump)
    narrow = dump.raw_digits == DIGITS_32 or re.fullmatch(r"[0-9a-f]{8}", dump.pointer)
    reading.big_endian = _is_big_endian(dump)
    reading.architecture = dump.context.architecture or _architecture_of_words(dump)
    if narrow and reading.architecture == "arm64":
        reading.architecture = "arm"  # it heads its stacks in the same way
    reading.big_endian |= reading.architecture == "s390"
    reading.bits = 32 if narrow or reading.architecture in {"arm", "x86-32"} else 64
    reading.versions, reading.versions_why = versions, why
    reading.flags = dump.flags if dump.flags is not None else (dump.raw[0] if dump.raw else None)
    reading.numbers = dict(dump.numbers)
    if dump.mixed:
        text = (
            "Lines of another report stand between those of this one, as two processors printed at once: "
            "words may belong to the other page."
        )
        if dump.torn:
            text = (
                "Two reports are interleaved, as two processors printed at once, and no id of a caller tells "
                "which line is whose: the lines that may be of either page are left out."
            )
        reading.problems.append(Fact(text, CONCLUDED))
    _read_layout(reading)
    _read_names(reading, vmcoreinfo or {})
    _read_type(reading)
    _read_refcount(reading)
    return reading


def _pfn_of_pointer(dump: Dump) -> int | None:
    """Return the pfn of a struct page by its address in the memmap, as x86-64 has it without KASLR."""
    if dump.uninitialised or not re.fullmatch(r"ffffea[0-9a-f]{10}", dump.pointer):
        return None
    offset = int(dump.pointer, 16) - (VMEMMAP_X86_64 << 40)
    return None if offset % SIZE_OF_STRUCT_PAGE else offset // SIZE_OF_STRUCT_PAGE


def _printable(data: bytes) -> str:
    """Return bytes as text if all are printable ASCII; else empty."""
    return data.decode("ascii") if all(0x20 <= byte < 0x7F for byte in data) else ""  # noqa: PLR2004 (ASCII)


def has_old_order(dump: Dump, versions: tuple[Version, Version]) -> bool:
    """Return whether the raw words are those of a struct page before 4.18, where the counts came fourth.

    Where the version is not known, list poison in the fifth word shows it, or counts that agree with the
    printed ones only there.
    """
    if len(dump.raw) < len(OLD_ORDER) - 1 or versions[0] > COUNTS_FOURTH_UNTIL:
        return False
    if versions[1] <= COUNTS_FOURTH_UNTIL:
        return True
    if dump.raw_digits == DIGITS_32:
        poison, old, new = dump.raw[5:7] == [0x100, 0x200], tuple(dump.raw[3:5]), tuple(dump.raw[6:8])
    else:
        poison = list_poison(dump.raw[4:6], 64)
        old, new = _halves(dump.raw[3]), _halves(dump.raw[6])
    return dump.old_count and (poison or (_are_counts(dump, old) and not _are_counts(dump, new)))


def list_poison(words: list[int], bits: int) -> bool:
    """Return whether two words are what list_del() leaves in a list_head.

    >>> list_poison([0x5DEADBEEF0000100, 0x5DEADBEEF0000122], 64), list_poison([0x100, 0x200], 32)
    (True, True)
    """
    return any(words == [base + 0x100, base + end] for base in POISON_BASES[bits] for end in (0x122, 0x200))


def _halves(word: int) -> tuple[int, int]:
    return word & NONE, word >> 32


def _are_counts(dump: Dump, counts: tuple[int, ...]) -> bool:
    """Return whether (_mapcount, _refcount) are those that were printed."""
    both = len(counts) > 1  # words that were cut off are not there
    return both and (signed(counts[0]) + 1, signed(counts[1])) == (dump.mapcount, dump.refcount)


def _is_big_endian(dump: Dump) -> bool:
    """Return whether the counts, of which two share a word, agree with the printed ones only in reverse."""
    if dump.raw_digits == DIGITS_32 or len(dump.raw) < len(OLD_ORDER) - 1:
        return False
    counts = _halves(dump.raw[6])
    return _are_counts(dump, counts[::-1]) and not _are_counts(dump, counts)


def _architecture_of_words(dump: Dump) -> str | None:
    """Return the architecture that alone can have the pointers and poisons of the first words."""
    words = [*dump.raw[1:4], int(dump.pointer, 16) if re.fullmatch(r"[0-9a-f]{16}", dump.pointer) else 0]
    if any(word >> 40 == VMEMMAP_X86_64 for word in (*dump.raw, *words)):
        return "x86-64"
    if any(word >> 48 in TOP_OF_PPC64 or word & ~0xFFF == POISON_BASES[64][1] for word in words):
        return "ppc64"
    return "s390" if _is_big_endian(dump) and 0 < dump.raw[1] < TOP_OF_S390 else None


# ---- the version -----------------------------------------------------------------------------------


def versions_of(dump: Dump) -> tuple[tuple[Version, Version], str]:
    """Return the first and last version that can have printed this, and why.

    A release string nearby decides; else the forms that lines have had.
    """
    if dump.context.version is not None:
        return (dump.context.version, dump.context.version), f"release {dump.context.release}"
    low, high, why = OLDEST, NEWEST, []
    for applies, first, last, reason in _forms(dump):
        if applies:
            low, high = max(low, first), min(high, last)
            why.append(reason)
    if low > high:
        return (OLDEST, NEWEST), "its lines have forms of different versions"
    return (low, high), " and ".join(why)


def _forms(dump: Dump) -> list[tuple[bool, Version, Version, str]]:
    """Return the forms of lines that tell versions apart: (is there, first version, last version, words)."""
    text, word = dump.type_text, dump.page_type
    byte = bool(text) and not text.startswith("0x")
    bits_6_11 = word is not None and not byte and word & 0xFFFFFF == 0xFFFFFF and word != NONE  # noqa: PLR2004 (low 24 bits)
    logged = dump.source not in {TRACE_EVENT, DEBUGGERS, *OF_FAILURES}
    upper = dump.flags is not None and bool(dump.flags >> 32)
    return [
        (dump.old_count, OLDEST, (5, 1), "'count:' is the form up to 5.1"),
        (dump.refcount is not None and not dump.old_count and logged, (5, 2), NEWEST,
         "'refcount:' is the form since 5.2"),
        (byte, (6, 12), NEWEST, "a page_type of one byte is the form since 6.12"),
        (bits_6_11, (6, 11), (6, 11), f"page_type {text.partition('(')[0]} is in the encoding of 6.11"),
        (bool(text) and not byte and word == NONE, OLDEST, (6, 11),
         "a page_type of 32 bits is the form up to 6.11"),
        (bool(text) and not byte and not bits_6_11 and word != NONE, OLDEST, (6, 10),
         "the page_type is in the encoding up to 6.10"),
        (dump.refcount is not None and not dump.pointer and logged, (6, 9), NEWEST,
         "'page:' without an address is the form since 6.9"),
        (bool(dump.numbers), (5, 12), NEWEST, "zone and node beside the flags are printed since 5.12"),
        (dump.names is not None and upper and not dump.numbers and not dump.names_cut, OLDEST, (5, 11),
         "flags without zone and node are the form up to 5.11"),
    ]  # fmt: skip


# ---- flags -----------------------------------------------------------------------------------------


def _read_layout(reading: Reading) -> None:
    """Solve the layout from printed numbers, or find the known ones that a word may have."""
    word, fewest = reading.flags, FEWEST_FLAGS[reading.bits]
    if word is None:
        return
    if reading.numbers:
        reading.layouts = solve(word, reading.numbers, fewest - 2, reading.bits)
        reading.lowest_field = min((layout.end for layout in reading.layouts), default=64)
        if not reading.layouts:
            reading.problems.append(
                Fact(
                    f"The printed numbers and the word {word:#x} do not agree: no layout gives them.",
                    CONCLUDED,
                )
            )
        return
    if reading.bits == 64 and word >> 27:  # noqa: PLR2004 (bits; no kernel has more flags)
        reading.zone_choices = plausible(word, 27, reading.dump.pfn, reading.architecture)
        found = {layout.read(word)["zone"] for layout in reading.zone_choices}
        if len(reading.zone_choices) == 1 and len(found) == 1:
            layout = reading.zone_choices[0]
            reading.numbers, reading.numbers_how = layout.read(word), CONCLUDED


def _tables(reading: Reading) -> list[FlagTable]:
    """Return the tables of the versions that are possible, those of the architecture first."""
    low, high = reading.versions
    return [t for t in flag_tables(reading.architecture) if t.first <= high and t.last >= low]


def _agrees(table: FlagTable, reading: Reading) -> bool:
    """Return whether a table reproduces the printed names, and those only."""
    names, word = reading.dump.names, reading.flags
    if names is None or word is None:
        return False
    low = word & (1 << reading.lowest_field) - 1
    if not reading.dump.names_cut:
        return table.bits_of(names) == low & (1 << len(table.names)) - 1
    mine = set(table.set_names(low))
    whole = set(names[:-1])
    last = names[-1].rstrip(".") if names else ""
    return whole <= mine and any(name.startswith(last) for name in mine - whole)


def _read_names(reading: Reading, vmcoreinfo: Mapping[str, int]) -> None:
    """Find the names of the flags: the printed ones, and the table that gives them."""
    if reading.dump.names is not None:
        reading.names = list(reading.dump.names)
        _find_table(reading)
    elif reading.flags is not None:
        _names_without_print(reading, vmcoreinfo)


def completed_names(dump: Dump) -> list[str]:
    """Return the printed names; the last one, if it was cut and only one flag begins so, in full."""
    names = list(dump.names or [])
    last = names[-1].rstrip(".") if names else ""
    meant = [name for name in flag_names() if name.startswith(last)]
    return [*names[:-1], meant[0]] if dump.names_cut and last and len(meant) == 1 else names


def _find_table(reading: Reading) -> None:
    """Find the tables that reproduce the printed names; they may narrow the version."""
    if reading.flags is None:
        return
    fitting = [table for table in _tables(reading) if _agrees(table, reading)]
    others = (*flag_tables(reading.architecture), *flag_tables())
    reading.table = next((t for t in chain(fitting, others) if _agrees(t, reading)), None)
    if reading.table is None:
        text = "The tables here do not fit this kernel: the names are those that the kernel printed."
        reading.problems.append(Fact(text + _disagreeing_bits(reading), CONCLUDED))
    elif not fitting:
        text = f"The printed names are those of {reading.table.label}, not of {_span(reading.versions)}."
        reading.problems.append(Fact(text, CONCLUDED))
    elif reading.names and reading.version is None:
        low, high = reading.versions
        low = max(low, min(table.first for table in fitting))
        high = min(high, max(table.last for table in fitting))
        if (low, high) != reading.versions:
            why = "its flags have these numbers"
            reading.versions_why += f" and {why}" if reading.versions_why else why
        reading.versions = low, high


def _disagreeing_bits(reading: Reading) -> str:
    """Say which bits of the nearest table disagree with the printed names."""
    names, word = set(reading.names or ()), (reading.flags or 0) & FLAG_BITS & (1 << reading.lowest_field) - 1
    tables = _tables(reading)
    if not tables or reading.damaged or reading.dump.names_cut:
        return ""
    table = min(tables, key=lambda each: len(set(each.set_names(word)) ^ names))
    bits = {name: bit for bit, name in enumerate(table.names)}
    unprinted = [
        f"bit {bits[n]} is {n}, which was not printed" for n in table.set_names(word) if n not in names
    ]
    unset = [
        f"{n}, which was printed, is bit {bits[n]}, which is not set" if n in bits else f"there is no {n}"
        for n in reading.names or ()
        if n not in bits or not word >> bits[n] & 1
    ]
    return f" In the table of {table.label}, {'; '.join(unprinted + unset)}." if unprinted or unset else ""


def usual_tables(reading: Reading) -> dict[str, FlagTable]:
    """Return the usual table of each possible version and architecture by its label, newest first."""
    found: dict[str, FlagTable] = {}
    for table in reversed(_tables(reading)):
        arch_2 = table.first <= ARCH_2_SINCE <= reading.versions[0] <= table.last < UNCACHED_UNTIL
        if arch_2 != ("arch_2" in table.tail):
            continue
        if table.tail in {"hwpoison", "hwpoison arch_2"}:
            elsewhere = reading.architecture is None and table.last <= UNCACHED_UNTIL
            found[f"{table.label}, not x86" if elsewhere else table.label] = table
        elif table.tail in {"uncached hwpoison", "uncached hwpoison arch_2"}:
            found[f"{table.label}, x86" if reading.architecture is None else table.label] = table
    return found


def _names_without_print(reading: Reading, vmcoreinfo: Mapping[str, int]) -> None:
    """Read the names with the tables that are possible; several answers stay several answers."""
    word = (reading.flags or 0) & FLAG_BITS
    known = {name[3:]: bit for name, bit in vmcoreinfo.items() if name.startswith("PG_")}
    choices: dict[tuple[str, ...], list[str]] = {}
    for label, table in usual_tables(reading).items():
        if all(bit == table.names.index(name) for name, bit in known.items() if name in table.names):
            choices.setdefault(tuple(table.set_names(word)), []).append(label)
            reading.table = reading.table or table
    if len(choices) == 1:
        reading.names, reading.names_how = list(next(iter(choices))), WORD
        reading.names_of = labels_of(next(iter(choices.values())))
        return
    reading.table = None
    reading.name_choices = {labels_of(labels): list(names) for names, labels in choices.items()}


def labels_of(labels: list[str]) -> str:
    """Return labels of tables in one phrase, without the architecture where both have the same.

    >>> labels_of(["6.12 to 6.13", "6.6 to 6.9, not x86", "6.6 to 6.9, x86", "4.20 to 6.5, x86"])
    '6.12 to 6.13; 6.6 to 6.9; 4.20 to 6.5, x86'
    """
    versions = [label.partition(",")[0] for label in labels]
    return "; ".join(
        dict.fromkeys(
            v if versions.count(v) > 1 else label for v, label in zip(versions, labels, strict=True)
        )
    )


def _span(versions: tuple[Version, Version]) -> str:
    low, high = versions
    if low == high:
        return version_name(low)
    if high == NEWEST:
        return "any version" if low == OLDEST else f"{version_name(low)} and later"
    return f"up to {version_name(high)}" if low == OLDEST else f"{version_name(low)} to {version_name(high)}"


# ---- the type and the counts -------------------------------------------------------------------------


def word_of_counts(reading: Reading) -> tuple[int, int] | None:
    """Return (page_type or _mapcount, _refcount) from the raw words; None if they were not printed."""
    if not reading.raw:
        return None
    if reading.bits == 32:  # noqa: PLR2004 (bits)
        return reading.raw[6], reading.raw[7]
    halves = _halves(reading.raw[6])
    return halves[::-1] if reading.big_endian else halves


def signed(word: int) -> int:
    """Return 32 bits as C's int.

    >>> signed(0xFFFFFF7F)
    -129
    """
    return word - (1 << 32) if word >> 31 else word


def _read_type(reading: Reading) -> None:
    """Find the page type: from its own line, else from the raw words, else from a printed mapcount."""
    dump, counts = reading.dump, word_of_counts(reading)
    if dump.page_type is not None:
        reading.type_word = dump.page_type
        reading.types, reading.types_how = list(dump.type_names), PRINTED
    elif counts is not None and not reading.filled and not reading.tail:
        reading.type_word = counts[0]
    elif dump.type_word is not None:
        reading.type_word = dump.type_word
    elif dump.mapcount is not None and dump.mapcount < 0 and reading.versions[0] <= (6, 9):
        reading.type_word, reading.types_how = dump.mapcount - 1 & NONE, CONCLUDED
    if reading.type_word is None:
        return
    _find_encoding(reading, reading.type_word)
    if reading.types_how == PRINTED and reading.encoding is not None:
        _check_printed_types(reading)
    if reading.types_how != PRINTED and reading.encoding is not None:
        reading.types = reading.encoding.types(reading.type_word)


def _find_encoding(reading: Reading, word: int) -> None:
    """Find the encoding of the type; where the versions that are possible disagree, keep what each says."""
    low, high = reading.versions
    possible = [each for each in (BEFORE_TYPES, *TYPE_ENCODINGS) if each.first <= high and each.last >= low]
    if len(possible) == 1:
        reading.encoding = possible[0]
        return
    named: dict[tuple[str, ...], list[str]] = {}
    for each in possible:
        if each.is_plain(word):
            named.setdefault(tuple(each.types(word)), []).append(each.label)
    if len(named) > 1 and reading.types_how != PRINTED:
        reading.type_choices = {"; ".join(labels): list(types) for types, labels in named.items()}
    else:
        reading.encoding = encoding_of_word(word)
        if named and not (reading.encoding and reading.encoding.types(word)):
            reading.encoding = next(each for each in possible if each.is_plain(word))


def _check_printed_types(reading: Reading) -> None:
    encoding, word = reading.encoding, reading.type_word
    assert encoding is not None  # noqa: S101 (asked by the caller)
    assert word is not None  # noqa: S101 (asked by the caller)
    mine = encoding.types(word)
    printed = [name for name in reading.types if name != "unknown"]
    if printed and set(mine) != set(printed):
        text = (
            f"The printed type ({', '.join(printed)}) is not what {word:#x} means in "
            f"{encoding.label} ({', '.join(mine) or 'none'})."
        )
        reading.problems.append(Fact(text, CONCLUDED))
    if "unknown" in reading.types and mine and not mine[0].startswith("number"):
        reading.types, reading.types_how = mine, WORD


def _read_refcount(reading: Reading) -> None:
    """Find the refcount, and compare what was printed with the raw words."""
    counts, dump = word_of_counts(reading), reading.dump
    reading.refcount = dump.refcount
    if counts is None or reading.filled:
        return
    if dump.refcount is None:
        reading.refcount, reading.refcount_how = signed(counts[1]), WORD
    elif signed(counts[1]) != dump.refcount and not reading.tail:
        text = (
            f"The printed refcount is {dump.refcount}, the raw words have {signed(counts[1])}: it "
            "changed while it was printed, or the words are not of this page."
        )
        reading.problems.append(Fact(text, CONCLUDED))
    _compare_types(reading, counts[0])
    _compare_mapcount(reading, counts[0])
    if dump.flags is not None and dump.raw[0] != dump.flags and not reading.tail:
        text = f"The flags line has {dump.flags:#x}, the raw words have {dump.raw[0]:#x}."
        reading.problems.append(Fact(text, CONCLUDED))


def _compare_types(reading: Reading, word: int) -> None:
    printed = reading.dump.page_type
    if printed is None or reading.tail:
        return
    same = printed >> 24 == word >> 24 if not reading.dump.type_text.startswith("0x") else printed == word
    if not same:
        text = f"The page_type line has {reading.dump.type_text}, the raw words have {word:#010x}."
        reading.problems.append(Fact(text, CONCLUDED))


def _compare_mapcount(reading: Reading, word: int) -> None:
    """Compare a printed mapcount with the stored one, which is one less; a type is no mapcount."""
    printed = reading.dump.mapcount
    no_count = word & BITS_BASE and word != NONE
    if printed is None or reading.tail or reading.dump.order or reading.types or no_count or reading.slab:
        return
    if signed(word) + 1 != printed:
        text = (
            f"The printed mapcount is {printed}, the raw words have {signed(word)}, which is "
            f"{signed(word) + 1} mappings."
        )
        reading.problems.append(Fact(text, CONCLUDED))


def kernel_fact(reading: Reading) -> Fact:
    """Return what is known of the kernel."""
    low, high = reading.versions
    newer = "; it is newer than the tables here, which end with 7.3" if is_newer_than_tables(low) else ""
    arch = f" on {reading.architecture}" if reading.architecture else ""
    if reading.dump.context.release:
        return Fact(f"The kernel is Linux {reading.dump.context.release}{arch}{newer}.", PRINTED)
    if (low, high) == (OLDEST, NEWEST):
        return Fact(f"The version of the kernel is unknown{arch}.", CONCLUDED)
    return Fact(f"The kernel is Linux {_span((low, high))}{arch}: {reading.versions_why}.", CONCLUDED)


__all__ = ["CONCLUDED", "PRINTED", "WORD", "Fact", "Reading", "Row", "agreed", "kernel_fact", "read_dump"]

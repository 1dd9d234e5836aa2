"""A text explained: sentences about each page, the table of its words, what readers would do; or JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.real import checks
from memsim.real.dump import MOST_PAGES, read_text
from memsim.real.events import OF_MEMSIM, failed_range, meanings, page_meanings
from memsim.real.freed import PAGE_POOL
from memsim.real.readers import NOT_KNOWN, Reader, readers, stand_in
from memsim.real.reading import (
    CONCLUDED,
    PRINTED,
    WORD,
    Fact,
    Reading,
    Row,
    agreed,
    completed_names,
    kernel_fact,
    read_dump,
    signed,
    word_of_counts,
)
from memsim.real.tables import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from memsim.real.versions import Version

MOST_RUNS = 8
"""Runs of pfns that a headline names."""
_NUMBER = re.compile(r"\b(?:0x)?[0-9a-f]*[0-9][0-9a-f]*\b")
FORMAT = "memsim-explanation/1"
_WORDS = ("second word (lru.next)", "third word (lru.prev)", "mapping", "index", "private")
_OF_A_SLAB = ("slab_cache", "slab_list.next", "slab_list.prev", "freelist", "counters")
_OF_AN_OLDER_SLAB = ("slab_list.next", "slab_list.prev", "slab_cache", "freelist", "counters")
_SLAB_CACHE_FIRST: Version = (6, 2)
_OF_A_PAGE_POOL = ("pp_magic", "pp", "_pp_mapping_pad", "dma_addr", "pp_ref_count")
_OF_DEVICE_MEMORY = ("pgmap", "zone_device_data", "mapping", "index", "private")
_OF_A_TAIL = ("compound_head", "third word", "fourth word", "fifth word", "sixth word")
_RENAMED: tuple[tuple[str, Version, str], ...] = (
    ("print_bad_pte()", (6, 18), "print_bad_page_map()"),
    ("unaccount_page_cache_page()", (5, 17), "filemap_unaccount_folio()"),
)
"""What a function was called, since when it has another name, and that name."""
_OF_A_HEAD = (
    *("head: flags", "head: second word (lru.next)", "head: third word (lru.prev)", "head: mapping"),
    *("head: index", "head: private", "head: _refcount and _mapcount", "head: memcg_data"),
)
_OF_OTHERS = ("second word", "third word", "fourth word", "fifth word", "sixth word")


@dataclass(frozen=True)
class ExplainedPage:
    """One page: sentences, the table of its words, and what each reader would do with it."""

    reading: Reading
    facts: tuple[Fact, ...]
    rows: tuple[Row, ...]
    readers: tuple[Reader, ...]
    release: str
    """The modelled release that stands in for the kernel of the report."""
    no_readers: str
    """Why no reader was asked, if none was."""

    @property
    def source(self) -> str:
        """The function that printed the page, as it is called in this kernel."""
        name, (low, high) = self.reading.dump.source, self.reading.versions
        for before, since, renamed in _RENAMED:
            if name == before and low >= since:
                return renamed
            if name == renamed and high < since:
                return before
        return name

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`text` says as JSON values."""
        reading = self.reading
        return {
            "line": reading.dump.line,
            "source": self.source,
            "pfn_how": reading.dump.pfn_how or None,
            "times": reading.dump.count,
            "kernel": reading.dump.context.release or None,
            "architecture": reading.architecture,
            "pfn": reading.dump.pfn,
            "flags": reading.flags,
            "names": reading.names,
            "names_by_version": reading.name_choices,
            "zone": reading.zone,
            "zone_name": reading.zone_name,
            "node": reading.numbers.get("node"),
            "lastcpupid": reading.numbers.get("lastcpupid"),
            "kasantag": reading.numbers.get("kasantag"),
            "numbers_how": reading.numbers_how if reading.numbers else None,
            "page_type": reading.type_word,
            "types": reading.types,
            "refcount": reading.refcount,
            "mapcount": reading.dump.mapcount,
            "reason": reading.dump.reason or None,
            "sentences": [fact._asdict() for fact in self.facts],
            "table": [row._asdict() for row in self.rows],
            "stand_in": self.release if self.readers else None,
            "readers": [reader._asdict() for reader in self.readers],
            "no_readers": self.no_readers or None,
        }

    @property
    def kind(self) -> tuple[object, ...]:
        """What pages have in common that differ in their pfn and their neighbours on a list only."""
        dump = self.reading.dump
        if dump.pfn is None or dump.mixed:
            return (dump.line,)
        words = (dump.raw[:1], dump.raw[3:], dump.head_raw, dump.names, dump.mapping, dump.index)
        said = [
            _NUMBER.sub("#", fact.text) for fact in self.facts if not fact.text.startswith("Taint flag B")
        ]
        counts = (dump.flags, dump.page_type, dump.type_word, dump.refcount, dump.mapcount)
        return (dump.source, dump.reason, dump.context.release, counts, repr(words), repr(said), self.readers)

    def text(self, equal: Sequence[ExplainedPage] = ()) -> str:
        """Return the page explained; ``equal`` are others of the same :attr:`kind`, which are named only."""
        times = f", {self.reading.dump.count} times" if self.reading.dump.count > 1 else ""
        parts = [f"Line {self.reading.dump.line}: a page from {self.source}{times}"]
        if equal:
            parts = [_head_of_several([self, *equal])]
        parts += [f"  {fact.text} [{fact.how}]" for fact in self.facts]
        if self.rows:
            parts += ["", *_table(("word", "field", "value", "how known"), self.rows)]
        if self.readers:
            title = (
                f"  What readers of struct pages would do; Linux {self.release} as memsim "
                "models it stands in, "
                "without the patch (before) and with it (after):"
            )
            met = [reader for reader in self.readers if reader.meets]
            parts += ["", title]
            if all(reader.before == reader.after != NOT_KNOWN for reader in met):
                parts.append("  No reader differs: what the patch changes is which pages look like this one.")
            parts += _table(
                ("reader", "before", "after", "because"), [(r.name, r.before, r.after, r.why) for r in met]
            )
            parts.append(f"  {len(self.readers) - len(met)} other readers never meet such a page.")
        elif self.no_readers:
            parts.append(
                f"  What readers of struct pages would do is not known: {self.no_readers}. [{CONCLUDED}]"
            )
        return "\n".join(parts)


def _head_of_several(pages: list[ExplainedPage]) -> str:
    """Return the headline of pages of one kind: how many, and which."""
    first, last = pages[0].reading.dump, pages[-1].reading.dump
    pfns = sorted({page.reading.dump.pfn for page in pages if page.reading.dump.pfn is not None})
    starts = [pfn for at, pfn in enumerate(pfns) if not at or pfns[at - 1] != pfn - 1]
    ends = [pfn for at, pfn in enumerate(pfns) if at == len(pfns) - 1 or pfns[at + 1] != pfn + 1]
    runs = [f"{s:#x}" if s == e else f"{s:#x} to {e:#x}" for s, e in zip(starts, ends, strict=True)]
    more = f" and {len(runs) - MOST_RUNS} more runs" if len(runs) > MOST_RUNS else ""
    which = f"pfn {', '.join(runs[:MOST_RUNS])}{more}"
    times = sum(page.reading.dump.count for page in pages)
    reports = f" in {times} reports" if times != len(pages) else ""
    return (
        f"Lines {first.line} to {last.line}: {len(pages)} pages{reports} from {pages[0].source}, {which}. "
        f"They "
        f"differ "
        "in their pfn and their neighbours on a list only; of the first:"
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return rows as lines with aligned columns."""
    cells = [heads, *(tuple(row) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


@dataclass(frozen=True)
class Explanation:
    """All that was found in a text."""

    pages: tuple[ExplainedPage, ...]
    events: tuple[tuple[str, tuple[Fact, ...]], ...] = ()
    """Other lines about memory that are explained: the line, and sentences."""
    read: int = 0
    understood: int = 0
    left_off: int = 0
    vmcoreinfo: dict[str, int] = field(default_factory=dict)
    unknown: tuple[tuple[int, str], ...] = ()
    """The first lines that may be about memory and were not understood: number, line."""
    nr_unknown: int = 0
    """How many such lines there are."""

    @property
    def found(self) -> bool:
        """Whether there was anything to explain."""
        return bool(self.pages or self.events)

    @property
    def summary(self) -> str:
        """The line of counts."""
        more = (
            f", {self.left_off} more pages not explained (of different pages the first {MOST_PAGES} are)"
            if self.left_off
            else ""
        )
        total = sum(page.reading.dump.count for page in self.pages)
        equal = f" ({total} with equal ones)" if total != len(self.pages) else ""
        return f"lines read {self.read}, understood {self.understood}, pages {len(self.pages)}{equal}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "format": FORMAT,
            "lines_read": self.read,
            "lines_understood": self.understood,
            "pages_left_off": self.left_off,
            "lines_unknown": {
                "count": self.nr_unknown,
                "first": [{"line": number, "text": line} for number, line in self.unknown],
            },
            "pages": [page.to_dict() for page in self.pages],
            "events": [
                {"line": line, "sentences": [fact._asdict() for fact in facts]} for line, facts in self.events
            ],
        }

    def text(self) -> str:
        """Return everything as text, the line of counts last."""
        kinds: dict[tuple[object, ...], list[ExplainedPage]] = {}
        for page in self.pages:
            kinds.setdefault(page.kind, []).append(page)
        parts = [first.text(equal) for first, *equal in kinds.values()]
        parts += ["\n".join(f"  {f.text} [{f.how}]" for f in facts) for _, facts in self.events]
        if self.unknown:
            some = "" if self.nr_unknown == len(self.unknown) else f"; the first {len(self.unknown)}"
            title = f"Lines that may be about memory and are not explained here: {self.nr_unknown}{some}:"
            parts.append("\n".join([title, *(f"  line {number}: {line}" for number, line in self.unknown)]))
        return "\n\n".join([*parts, self.summary])

    def __str__(self) -> str:
        """Show the text."""
        return self.text()

    __repr__ = __str__


def explain(text: str | bytes | BinaryIO) -> Explanation:
    """Explain every page that a kernel log, a mail or any other text is about.

    Parameters
    ----------
    text
        The text, or a file opened in binary mode, which is read piece by piece.

    Raises
    ------
    MemsimError
        There is no page in it, and nothing else that can be explained.

    Examples
    --------
    >>> page = explain("flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)").pages[0]
    >>> page.reading.zone_name, [fact.how for fact in page.facts][:1]
    ('Normal', ['printed by the kernel'])
    """
    found = read_text(text)
    failed = [pfns for pfns in map(failed_range, found.events) if pfns]
    pages = tuple(_page(read_dump(dump, found.vmcoreinfo), failed) for dump in found.pages)
    events = tuple((line, _event_facts(line)) for line in found.events)
    explanation = Explanation(
        pages,
        events,
        found.read,
        found.understood,
        found.left_off,
        found.vmcoreinfo,
        tuple(found.unknown),
        found.nr_unknown,
    )
    if not explanation.found:
        msg = f"no page of a kernel log in {found.read} lines"
        raise MemsimError(msg)
    return explanation


def _event_facts(line: str) -> tuple[Fact, ...]:
    """Return a line that is about no page, and what it means."""
    how = "printed by memsim" if OF_MEMSIM in line else PRINTED
    return (Fact(line, how), *(Fact(text, CONCLUDED) for text in meanings(line)))


def _page(reading: Reading, failed: list[range]) -> ExplainedPage:
    """Put together all that is known of one page; ``failed`` are the pfns that did not go offline."""
    facts = [
        *checks.where(reading),
        *_agrees(reading, failed),
        *checks.state(reading),
        *checks.flags(reading),
        *checks.why(reading),
        *_lines_of(reading),
        *checks.implausible(reading),
        kernel_fact(reading),
    ]
    found, problem = readers(reading)
    return ExplainedPage(
        reading, tuple(facts), tuple(_rows(reading)), tuple(found), stand_in(reading), problem
    )


def _agrees(reading: Reading, failed: list[range]) -> list[Fact]:
    """Return whether a memory block that did not go offline has the pfn that was not printed."""
    if not reading.dump.pfn_how or not any(reading.dump.pfn in pfns for pfns in failed):
        return []
    return [Fact("A line about a memory block that did not go offline agrees: it has this pfn.", CONCLUDED)]


def _lines_of(reading: Reading) -> list[Fact]:
    """Return what the lines about a page mean that are not of dump_page(), and its pins."""
    dump = reading.dump
    lines = [*dump.said, *([f"page dumped because: {dump.reason}"] if dump.reason else [])]
    facts = [Fact(text, CONCLUDED) for line in lines for text in page_meanings(line)]
    if dump.reason == "nonzero mapcount" and reading.type_word is None:
        text = (
            "'nonzero mapcount' is what bad_page() prints for a page that is still mapped and for one of any "
            "page "
            "type, such as Offline where its driver did not clear it; the type was not printed."
        )
        facts.append(Fact(text, CONCLUDED))
    if dump.pincount:
        text = (
            f"pincount:{dump.pincount} (FOLL_PIN): a device has the page for DMA, such as with VFIO or RDMA. "
            "Migrating it fails until it is unpinned."
        )
        facts.append(Fact(text, CONCLUDED))
    return facts


# ---- the table of words ------------------------------------------------------------------------------


def _rows(reading: Reading) -> list[Row]:
    """Return the fields of the flags word, then of the other words that were printed."""
    return [*_flag_rows(reading), *_type_rows(reading), *_raw_rows(reading), *_head_rows(reading)]


def _flag_rows(reading: Reading) -> list[Row]:
    if reading.flags is None:
        return []
    word, rows = f"{reading.flags:#x}", []
    for name, number in reading.numbers.items():
        at = agreed(reading.layouts, name) if reading.layouts else None
        called = reading.zone_name if name == "zone" else None
        value = f"{number:#x}" if number > 9 else str(number)  # noqa: PLR2004 (digits)
        rows.append(
            Row(word, f"{name}{_bits(at)}", f"{value} ({called})" if called else value, reading.numbers_how)
        )
    bits = {name: bit for bit, name in enumerate(reading.table.names)} if reading.table else {}
    for name in completed_names(reading.dump) or reading.names or []:
        at = (bits[name], 1) if name in bits else None
        rows.append(Row(word, f"PG_{name}{_bits(at)}", "1", reading.names_how))
    return rows or [Row(word, "flags", "none" if reading.names == [] else "not known", WORD)]


def _head_rows(reading: Reading) -> list[Row]:
    """Return the words of the head page, if the page is a tail, and of the tail behind it."""
    if reading.bits != 64:  # noqa: PLR2004 (bits)
        return []
    digits, words = reading.dump.raw_digits, reading.dump.head_raw
    rows = []
    for at, word in enumerate(words):
        name = _OF_A_HEAD[at] if at < len(_OF_A_HEAD) else f"first tail: word {at - len(_OF_A_HEAD) + 1}"
        value = f"{word:#x}"
        if name == "head: _refcount and _mapcount" and not reading.big_endian:
            value = f"{signed(word >> 32)} and {signed(word & NONE)}"
        rows.append(Row(f"{word:0{digits}x}", name, value, WORD))
    return rows


def _bits(at: tuple[int, int] | None) -> str:
    if at is None:
        return ""
    low, width = at
    return f" (bit {low})" if width == 1 else f" (bits {low + width - 1}-{low})"


def _type_rows(reading: Reading) -> list[Row]:
    if reading.type_word is None:
        return []
    kind = " and ".join(reading.types) or _count_name(reading)
    return [Row(f"{reading.type_word:#010x}", "page_type or _mapcount", kind, reading.types_how)]


def _count_name(reading: Reading) -> str:
    """Return what a word that is no type counts."""
    word = reading.type_word or 0
    if reading.type_choices:
        return "depends on the version"
    if word == NONE:
        return "none"
    if word >> 31 or reading.slab:
        return "not a type"
    return "mapped once" if word == 0 else f"mapped {word + 1} times"


def _word_names(reading: Reading) -> tuple[str, ...]:
    """Return what the second to the sixth word are called: users of a page have their own names for them."""
    low, high = reading.versions
    if reading.slab:
        if low >= _SLAB_CACHE_FIRST:
            return _OF_A_SLAB
        return _OF_AN_OLDER_SLAB if high < _SLAB_CACHE_FIRST else _OF_OTHERS
    if reading.tail:
        return _OF_A_TAIL
    if reading.zone_name == "Device":
        return _OF_DEVICE_MEMORY
    return _OF_A_PAGE_POOL if PAGE_POOL in reading.raw[1:2] else _WORDS


def _raw_rows(reading: Reading) -> list[Row]:
    if not reading.raw:
        return []
    digits = reading.dump.raw_digits
    rows = [
        Row(f"{word:0{digits}x}", name, f"{word:#x}", WORD)
        for name, word in zip(_word_names(reading), reading.raw[1:6], strict=False)
    ]
    if reading.refcount is None:
        return rows
    at = 7 if reading.bits == 32 else 6  # noqa: PLR2004 (where the two counts have a word each)
    counts, last = word_of_counts(reading), "eighth word" if reading.tail else "memcg_data"
    value, how = str(reading.refcount), reading.refcount_how
    if reading.tail and counts is not None:
        value, how = str(signed(counts[1])), WORD  # what was printed is the count of the head
    refcount = Row(f"{reading.raw[at]:0{digits}x}", "_refcount", value, how)
    memcg = [Row(f"{word:0{digits}x}", last, f"{word:#x}", WORD) for word in reading.raw[at + 1 : at + 2]]
    return [*rows, refcount, *memcg]


__all__ = ["CONCLUDED", "PRINTED", "WORD", "ExplainedPage", "Explanation", "explain"]

"""The contents of the driver lab: the driver's records beside the kernel's struct pages, on both kernels.

Text and HTML are made from the same :class:`DriverSight`, which holds nothing of the machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from memsim.linux.include.layout import pageblock_nr_pages
from memsim.linux.include.page_flags import ALL_FLAGS, PageFlag
from memsim.view.draw import classes_in, counters_html
from memsim.view.driver_lab.driver_state import BACKED, BALLOON, PLUGGED, block_state, block_words, book_lines
from memsim.view.model.page_class import (
    CLASSES,
    PageClass,
    class_counts,
    first_ones,
    pageblock_letters,
    runs,
)
from memsim.view.model.text import (
    NO_BLOCK,
    Numbers,
    PageMap,
    block_sentence,
    counters_text,
    counts_phrase,
    hotplugged_blocks,
    log_tail,
    migratetype_name,
    side_title,
    uniform_refcount,
)

if TYPE_CHECKING:
    from memsim.machine.machine import Machine
    from memsim.state.state import State
    from memsim.view.driver_lab.script import DriverScript
    from memsim.view.model.page_class import Classes

UNITS = {"virtio-mem": "sub-blocks", "hv-balloon": "pageblocks", "xen-balloon": "pageblocks"}


@dataclass(frozen=True)
class Run:
    """Neighbouring pageblocks of which driver and kernel say the same."""

    first: int
    last: int
    driver: str
    kernel: str

    @property
    def where(self) -> str:
        """Their numbers in the memory block."""
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Block:
    """One memory block on one machine."""

    start_pfn: int
    sentence: str
    state: str
    words: tuple[str, ...]
    runs: tuple[Run, ...]
    page_map: PageMap


@dataclass(frozen=True)
class Side:
    """One of the two machines."""

    title: str
    book: tuple[str, ...]
    block: Block | None
    violations: tuple[str, ...]
    log: tuple[str, ...]


@dataclass(frozen=True)
class DriverSight:
    """Both machines after a step."""

    headline: str
    heading: str
    unit: str
    sides: tuple[Side, ...]
    numbers: Numbers
    previous: Numbers
    document: str


# ---- looking ---------------------------------------------------------------------------------------


def numbers_of(script: DriverScript) -> Numbers:
    """Take down the counters of both machines."""
    return Numbers.of({side: machine.kernel.state for side, machine in script.machines.items()})


def blocks_of(script: DriverScript) -> list[int]:
    """Return the memory blocks that were hot-added on either machine."""
    found = set()
    for machine in script.machines.values():
        found |= set(hotplugged_blocks(machine.kernel.state, machine.kernel.block_pages))
    return sorted(found)


def look(script: DriverScript, block: int | None, previous: Numbers | None = None) -> DriverSight:
    """Return what the lab shows, with the pages of one memory block."""
    numbers = numbers_of(script)
    return DriverSight(
        script.outcome.headline,
        f"{script.kind} on Linux {script.release}; new memory blocks: {script.online_type}",
        UNITS[script.kind],
        tuple(_side(script.kind, side, machine, block) for side, machine in script.machines.items()),
        numbers,
        previous or numbers,
        script.document,
    )


def _side(kind: str, side: str, machine: Machine, block: int | None) -> Side:
    return Side(
        side_title(side),
        tuple(book_lines(kind, machine)),
        None if block is None else _block(kind, machine, block),
        tuple(map(str, machine.check())),
        tuple(line.strip() for line in log_tail(machine.kernel.state, 6)),
    )


def _block(kind: str, machine: Machine, block: int) -> Block:
    state, pages = machine.kernel.state, machine.kernel.block_pages
    pfn = block * pages
    page_map = PageMap.of(state, pfn, pages)
    driver = block_words(kind, machine, block)
    kernel = [
        kernel_words(state, pfn + at, page_map.classes[at : at + pageblock_nr_pages])
        for at in range(0, pages, pageblock_nr_pages)
    ]
    found = [Run(at, at + length - 1, *words) for words, at, length in runs(zip(driver, kernel, strict=True))]
    sentence = block_sentence(state, block, pages)
    return Block(
        block * pages, sentence, block_state(kind, machine, block), tuple(driver), tuple(found), page_map
    )


def kernel_words(state: State, pfn: int, classes: Classes) -> str:
    """Return what the struct pages of a pageblock say: pages by class with refcount, flags of all, type."""
    if not classes.any():
        return "no struct pages that mean anything"
    section, at = state.memmap.spans(pfn, len(classes))[0]
    flags, refcounts = section.pages.flags[at].tobytes(), section.pages.refcount[at].tobytes()
    migratetype = migratetype_name(state.memmap.migratetype(pfn))
    return f"{_pages_words(classes.tobytes(), flags, refcounts)}; pageblock {migratetype}"


@lru_cache(maxsize=256)
def _pages_words(kinds: bytes, flags: bytes, refs: bytes) -> str:
    """Return what some pages are; most pageblocks are like the one before them."""
    classes, refcounts = np.frombuffer(kinds, np.uint8), np.frombuffer(refs, np.int16)
    extra = {kind: uniform_refcount(refcounts[classes == kind]) for kind in class_counts(classes)}
    common = int(np.bitwise_and.reduce(np.frombuffer(flags, np.uint32))) & ALL_FLAGS
    phrase = counts_phrase(class_counts(classes), extra)
    names = [str(flag.name).lower() for flag in PageFlag(common)]
    return ", ".join([phrase, *(f"PG_{name}" for name in names if name not in phrase)])


# ---- text ------------------------------------------------------------------------------------------


def sight_text(sight: DriverSight) -> str:
    """Return everything as text."""
    same = len({side.book for side in sight.sides}) == 1
    parts = [sight.heading]
    if same:
        book = [f"  {line}" for line in sight.sides[0].book]
        parts.append("\n".join(["The driver's records, the same on both kernels", *book]))
    parts += [_side_text(side, sight.unit, book=not same) for side in sight.sides]
    table = counters_text(sight.numbers, sight.previous)
    parts.append(f"Zone counters, in pages (*: changed by the last step)\n{table}")
    parts.append(f"All steps, as a scenario\n{sight.document}")
    return "\n\n".join(parts)


def _side_text(side: Side, unit: str, *, book: bool) -> str:
    lines = [side.title.upper()]
    if book:
        lines += ["  The driver's records:", *(f"    {line}" for line in side.book)]
    if side.block is None:
        lines.append(f"  {NO_BLOCK}")
    else:
        state = f" In the driver's records: {side.block.state}." if side.block.state else ""
        lines += [
            f"  {side.block.sentence}{state}",
            f"  {unit}: what the driver says | what the struct pages say",
        ]
        where = max(len(run.where) for run in side.block.runs)
        driver = max(len(run.driver) for run in side.block.runs)
        rows = [
            f"{run.where.rjust(where)}  {run.driver.ljust(driver)} | {run.kernel}" for run in side.block.runs
        ]
        lines += [f"    {line}" for line in first_ones(rows, 16, "more runs")]
    lines.append(f"  Invariants: {'; '.join(side.violations) or 'all hold'}.")
    if side.log:
        lines += ["  The kernel log ends with:", *(f"    {line}" for line in side.log)]
    return "\n".join(lines)


# ---- HTML ------------------------------------------------------------------------------------------


def sight_html(sight: DriverSight) -> str:
    """Return both machines side by side, the driver's records, and the counters that moved."""
    books = [side.book for side in sight.sides]
    same = len(set(books)) == 1
    sides = "".join(_side_html(side, sight.unit, book=not same) for side in sight.sides)
    shared = f'<div class="memsim-half">{_book_html(books[0])}</div>' if same else ""
    counters = counters_html(sight.numbers.news(sight.previous), sight.numbers.names)
    return (
        f'<p class="memsim-line"><b>{escape(sight.heading)}</b></p>'
        f'<div class="memsim-pair">{sides}</div>'
        f'<div class="memsim-pair">{shared}<div class="memsim-half">{counters}</div></div>'
    )


def _side_html(side: Side, unit: str, *, book: bool) -> str:
    block = f'<p class="memsim-line">{NO_BLOCK}</p>'
    if side.block is not None:
        block = _aligned_html(side, side.block, unit)
    checks, end = escape("; ".join(side.violations)), escape("\n".join(side.log[-LOG:]))
    broken = f'<p class="memsim-line"><b>✗ {checks}</b></p>' if checks else ""
    log = f'<pre class="memsim-log">{end}</pre>' if end else ""
    return (
        f'<div role="group" aria-label="{escape(side.title)}" class="memsim-half">'
        f"{block}{_book_html(side.book) if book else ''}{broken}{log}</div>"
    )


def _book_html(book: tuple[str, ...]) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in book)
    title = "<b>The driver's records</b>"
    return f'{title}<ul class="memsim-list">{lines}</ul>'


LOG = 2
"""Lines of the kernel log that are shown; the text has more."""
_COLUMNS = 16
_LETTERS = {PLUGGED: "P", BACKED: "K", BALLOON: "L"}
"""Letters of the driver's own that are not those of page classes."""
_BY_LETTER = {kind.letter: kind for kind in CLASSES}


def _aligned_html(side: Side, block: Block, unit: str) -> str:
    """Return what the struct pages of pageblocks say, and in a row below it what the driver says."""
    kernel = pageblock_letters(block.page_map.classes)
    driver = [_letter(word) for word in block.words]
    rows = ""
    for start in range(0, len(kernel), _COLUMNS):
        at = slice(start, start + _COLUMNS)
        pfn = block.start_pfn + start * pageblock_nr_pages
        believed = "".join(map(_believed, kernel[at]))
        rows += f'<tr><th scope="row" class="memsim-head">{pfn:#x} kernel</th>{believed}</tr>'
        rows += (
            f'<tr><th scope="row" class="memsim-head">driver</th>{"".join(map(_said, driver[at]))}</tr>'
            f'<tr class="memsim-gap"><td colspan="{_COLUMNS + 1}" class="memsim-none"></td></tr>'
        )
    words = sorted({(_letter(word), word if not word[0].isdigit() else "in part") for word in block.words})
    keys = [f"<b>{letter}</b> {escape(word)}" for letter, word in words]
    seen = [f"<b>{kind.letter}</b> {kind.label}" for kind in classes_in([block.page_map.classes])]
    state = f"; {block.state}" if block.state else ""
    return (
        f'<table class="memsim-grid"><caption class="memsim-title">'
        f"<b>{escape(side.title)}: struct pages above, driver below</b><br>"
        f'<span class="memsim-key">kernel: {", ".join(seen)}; '
        f"driver, by {unit}: {', '.join(keys)}{state}</span>"
        f"</caption><tbody>{rows}</tbody></table>"
    )


def _believed(letters: str) -> str:
    kind = _BY_LETTER[letters[0]]
    ink = "#fff" if kind in {PageClass.ALLOCATED, PageClass.FREE_OFFLINE} else "#000"
    return f'<td class="memsim-cell" style="background: {kind.colour}; color: {ink}">{letters}</td>'


def _said(letter: str) -> str:
    return f'<td class="memsim-cell{"" if letter == "·" else " memsim-said"}">{letter}</td>'


def _letter(word: str) -> str:
    return "+" if word[0].isdigit() else _LETTERS.get(word, "·")

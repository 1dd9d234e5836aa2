"""The book's opening picture: a memory block comes online on two kernels, as an animated SVG.

It moves by CSS alone, so it plays wherever a picture is shown, also in an untrusted notebook, and
needs neither a script nor a kernel. Where a reader asks for less motion, and where CSS is not heeded, it
stands still in the middle of the story.

Left out: everything but the classes of pages, chunk by chunk; the explorer shows the rest.

    python -m tests.tools.opening

draws it again; ``make book`` does it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memsim import Scenario, compare
from memsim.linux.include.layout import MAX_ORDER_NR_PAGES
from memsim.view.model.page_class import CLASSES, PageClass, page_classes
from tests.book.reading import BOOK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.scenario.comparison import Comparison, Moment
    from memsim.state.state import State

PICTURE = BOOK / "images" / "one-block-comes-online.svg"
BLOCK, PAGES = 32, 32768
LOOP_S, MARK_S, FREE_S, END_S = 12.0, 1.0, 2.6, 8.0
"""Length of the loop; when pages are marked, when the first chunk is freed, and when the last one is."""
_CSS = Path(__file__).with_suffix(".css")
COLUMNS, WIDE, HIGH = 8, 44, 36
LEFT, TOP, BETWEEN = 24, 98, 36
SIDE = COLUMNS * WIDE
STILL = 12
"""This many chunks are free where the picture stands still."""


@dataclass(frozen=True)
class Story:
    """What the picture shows.

    Attributes
    ----------
    kinds
        Class of each chunk on each of the two kernels, at each moment at which one changes.
    differ
        How many struct pages differ then.
    block
        The memory block.
    """

    kinds: tuple[tuple[tuple[PageClass, ...], tuple[PageClass, ...]], ...]
    differ: tuple[int, ...]
    block: int

    @property
    def marks(self) -> tuple[PageClass, PageClass]:
        """What pages are while they wait, before and after the patch."""
        before, after = self.kinds[1]
        return before[0], after[0]

    @property
    def pages(self) -> int:
        """Pages of the block."""
        return len(self.kinds[0][0]) * MAX_ORDER_NR_PAGES

    @property
    def alt(self) -> str:
        """The picture in words."""
        before, after = self.marks
        chunks = len(self.kinds[0][0])
        return (
            f"Memory block {self.block} comes online on two kernels. Before the patch its {self.pages:,} "
            f"pages are {before.label} ({before.letter}), after it {after.label} ({after.letter}). Then "
            f"{chunks} chunks of {self.pages // chunks:,} pages go to the buddy allocator (B), one after the "
            f"other, on both. Pages that differ: {self.differ[0]:,}, then {max(self.differ):,}, then fewer "
            f"with each chunk, in the end {self.differ[-1]:,}."
        )


def story_of(comparison: Comparison, block: int, pages: int) -> Story:
    """Return when a chunk of a block changes its class on either kernel.

    The moments before the block has struct pages count as one.
    """
    pfn = block * pages
    kinds: list[tuple[tuple[PageClass, ...], tuple[PageClass, ...]]] = []
    differ: list[int] = []
    for moment in comparison.moments:
        before, after = (_chunks(state, pfn, pages) for state in comparison.states(moment))
        if not kinds or (before, after) != kinds[-1]:
            kinds.append((before, after))
            differ.append(_differing(comparison, moment, (pfn, pages), before + after))
    return Story(tuple(kinds), tuple(differ), block)


def _chunks(state: State, pfn: int, pages: int) -> tuple[PageClass, ...]:
    """Return the class that most pages of each chunk have."""
    rows = page_classes(state, pfn, pages).reshape(-1, MAX_ORDER_NR_PAGES)
    counts = (rows[:, :, None] == np.arange(len(CLASSES))).sum(axis=1)
    return tuple(map(PageClass, counts.argmax(axis=1).tolist()))


def _differing(
    comparison: Comparison, moment: Moment, where: tuple[int, int], kinds: tuple[PageClass, ...]
) -> int:
    """Return how many struct pages differ; before there are any, none does."""
    return comparison.differing_pages(moment, *where) if any(kinds) else 0


# ---- drawing ---------------------------------------------------------------------------------------


def opening_svg(story: Story) -> str:
    """Return the picture; the same story is always the same file."""
    assert len(story.kinds) > STILL
    times = _times(len(story.kinds))
    width, height = 2 * LEFT + 2 * SIDE + BETWEEN, TOP + 4 * HIGH + 112
    parts = [
        f'<rect width="{width}" height="{height}" rx="12" fill="var(--paper)"/>',
        _text(LEFT, 36, f"echo online_movable &gt; memory{story.block}/state", "title"),
        _text(width - LEFT, 36, f"{story.pages:,} pages, two kernels, one patch", "soft end note"),
        *_sentences(story, times),
        *_side(story, 0, "before the patch"),
        *_side(story, 1, "after the patch"),
        *_curve(story, times),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(story.alt)}">\n'
        f"<style>\n{_style(times)}</style>\n"
        f"<defs>{_defs(story)}</defs>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _times(moments: int) -> list[float]:
    """Return at which per cent of the loop each moment comes."""
    chunks = moments - 2
    seconds = [
        0.0,
        MARK_S,
        *(FREE_S + (END_S - FREE_S) * chunk / max(chunks - 1, 1) for chunk in range(chunks)),
    ]
    return [round(100 * second / LOOP_S, 2) for second in seconds]


def _style(times: Sequence[float]) -> str:
    """Return the style sheet: what it always has, and when what comes and goes.

    ``aN`` comes at the moment N and stays; ``nN`` is there from the moment N until the next.
    """
    last = len(times) - 1
    rules = [_CSS.read_text(encoding="utf-8").rstrip()]
    for number, time in enumerate(times[1:], start=1):
        rules.append(
            f"@keyframes a{number} {{ 0%, {time}% {{ opacity: 0; transform: scale(.6); }} "
            f"{time + 1.5:.2f}%, 99% {{ opacity: 1; transform: none; }} 100% {{ opacity: 0; }} }}"
        )
        rules.append(f".a{number} {{ animation: a{number} {LOOP_S:g}s infinite; }}")
    spans = {f"n{number}": (number, number) for number in range(last + 1)} | {
        f"s{number}": span for number, span in enumerate(_spans(last))
    }
    for name, (first, final) in spans.items():
        start, end = times[first], times[final + 1] if final < last else 100
        rules.append(
            f"@keyframes {name} {{ 0% {{ opacity: {int(first == 0)}; }} {start}% {{ opacity: 1; }} "
            f"{end}%, 100% {{ opacity: {int(final == last)}; }} }}"
        )
        rules.append(f".{name} {{ animation: {name} {LOOP_S:g}s infinite step-end; }}")
    steps = " ".join(f"{time}% {{ transform: translateX({_along(time)}px); }}" for time in times)
    rules.append(f"@keyframes veil {{ {steps} 100% {{ transform: translateX({_along(times[-1])}px); }} }}")
    rules.append(f".veil {{ animation: veil {LOOP_S:g}s infinite linear; }}")
    return "\n".join(rules) + "\n"


def _spans(last: int) -> tuple[tuple[int, int], ...]:
    """Return the first and the last moment of each sentence."""
    return (0, 0), (1, 1), (2, last - 1), (last, last)


def _sentences(story: Story, times: Sequence[float]) -> list[str]:
    before, after = story.marks
    mib = story.pages // 256
    says = (
        f"{mib} MiB are plugged in. Their struct pages are not written yet.",
        f"Every page is born {before.label} on the left, {after.label} on the right.",
        f"Chunk by chunk, {MAX_ORDER_NR_PAGES:,} pages at a time, the buddy allocator gets them.",
        "All are free. The two kernels no longer differ.",
    )
    still = next(n for n, (first, last) in enumerate(_spans(len(times) - 1)) if first <= STILL + 1 <= last)
    short = (
        "Plugged in; struct pages are not written yet.",
        f"Born {before.label} (left), {after.label} (right).",
        f"The buddy gets {MAX_ORDER_NR_PAGES:,} pages at a time.",
        "All are free: the kernels are alike again.",
    )
    return [
        _text(LEFT, 64, text, f"{kind} s{number}", shown=number == still)
        for kind, texts in (("say", says), ("short", short))
        for number, text in enumerate(texts)
    ]


def _side(story: Story, side: int, title: str) -> list[str]:
    """Return the chunks of one kernel: what each is at first, and above it what it becomes."""
    left = LEFT + side * (SIDE + BETWEEN)
    parts = [_text(left, TOP - 10, title, "side")]
    for chunk in range(len(story.kinds[0][side])):
        x, y = left + chunk % COLUMNS * WIDE, TOP + chunk // COLUMNS * HIGH
        parts.append(f'<g transform="translate({x} {y})"><use href="#k{story.kinds[0][side][chunk]:d}"/>')
        for moment in range(1, len(story.kinds)):
            kind = story.kinds[moment][side][chunk]
            if kind != story.kinds[moment - 1][side][chunk]:
                hidden = "" if moment <= STILL + 1 else ' opacity="0"'
                parts.append(f'<use href="#k{kind:d}" class="a{moment}"{hidden}/>')
        parts.append("</g>")
    return parts


_CURVE = (LEFT + 150, 2 * SIDE + BETWEEN - 150, 44)
"""Left end, width and height of the curve."""


def _along(time: float) -> float:
    """Return how far along the curve a moment is, in pixels; behind the last one nothing happens."""
    return round(_CURVE[1] * min(time / (100 * END_S / LOOP_S), 1), 1)


def _curve(story: Story, times: Sequence[float]) -> list[str]:
    """Return how many pages differ over time, covered as far as it has not come yet, and the number now."""
    x, width, high = _CURVE
    y, most = TOP + 4 * HIGH + 66, max(story.differ)
    steps = "".join(
        f"H{x + _along(time):g}V{y - high * count / most:g}"
        for time, count in zip(times, story.differ, strict=True)
    )
    numbers = [
        _text(x - 14, y - 21, f"{count:,}", f"number n{number}", shown=number == STILL + 1)
        for number, count in enumerate(story.differ)
    ]
    covers = f'width="{width + 8}" height="{high + 8}" fill="var(--paper)"'
    still = f'opacity=".85" transform="translate({_along(times[STILL + 1]):g} 0)"'
    veil = f'<rect class="veil" x="{x}" y="{y - high - 4}" {covers} {still}/>'
    kinds = sorted({kind for moment in story.kinds for side in moment for kind in side if kind})
    return [
        *numbers,
        _text(x - 14, y + 4, "pages differ", "soft end"),
        f'<path d="M{x} {y}{steps}V{y}z" fill="var(--differ)" opacity=".25"/>',
        f'<path d="M{x} {y}{steps}" fill="none" stroke="var(--differ)" stroke-width="2"/>',
        f'<clipPath id="frame"><rect x="{x - 2}" y="{y - high - 4}" {covers}/></clipPath>',
        f'<g clip-path="url(#frame)">{veil}</g>',
        *(part for place, kind in enumerate(kinds) for part in _key(kind, LEFT + 150 * place, y + 31)),
        _text(x + width, y + 31, "time →", "soft end"),
    ]


def _key(kind: PageClass, x: float, y: float) -> tuple[str, str]:
    """Return a tile of the legend and what it stands for."""
    tile = f'<g transform="translate({x:g} {y - 14:g}) scale(.55)"><use href="#k{kind:d}"/></g>'
    return tile, _text(x + 30, y, kind.label, "key")


def _text(x: float, y: float, text: str, kind: str, *, shown: bool = True) -> str:
    hidden = "" if shown else ' opacity="0"'
    return f'<text x="{x:g}" y="{y:g}" class="{kind}"{hidden}>{text}</text>'


_PATTERNS = {
    "rising stripes": '<path d="M-2 10 10-2M-2 2 2-2M6 10 10 6" stroke="#0005" stroke-width="1.4"/>',
    "dots": '<circle cx="4" cy="4" r="1.3" fill="#0006"/>',
}


def _defs(story: Story) -> str:
    """Return one tile for each class that occurs: colour, pattern and letter."""
    kinds = sorted({kind for moment in story.kinds for side in moment for kind in side})
    return "".join(map(_tile, kinds))


def _tile(kind: PageClass) -> str:
    box = f'width="{WIDE - 3}" height="{HIGH - 3}" rx="4"'
    if kind == PageClass.ABSENT:
        return f'<rect id="k{kind:d}" {box} fill="var(--none)"/>'
    pattern = _PATTERNS.get(kind.pattern, "")
    over = f'<rect {box} fill="url(#p{kind:d})"/>' if pattern else ""
    drawn = f'<pattern id="p{kind:d}" width="8" height="8" patternUnits="userSpaceOnUse">{pattern}</pattern>'
    dark = " on-dark" if kind in {PageClass.FREE, PageClass.ALLOCATED} else ""
    letter = f'<text class="letter{dark}" x="{(WIDE - 3) / 2:g}" y="{HIGH / 2 + 4:g}">{kind.letter}</text>'
    return f'{drawn if pattern else ""}<g id="k{kind:d}"><rect {box} fill="{kind.colour}"/>{over}{letter}</g>'


def story() -> Story:
    """Return the story of the scenario of chapter 1."""
    return story_of(compare(Scenario.load(BOOK / "scenarios" / "one-block.json")), BLOCK, PAGES)


if __name__ == "__main__":
    PICTURE.write_text(opening_svg(story()), encoding="utf-8", newline="\n")

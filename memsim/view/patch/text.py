"""Hunks as text: in two columns where the terminal is wide enough, else as a diff."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from memsim.view.model.hunks import HunkInFunction, Row, hunk_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.patch import Hunk

TWO_COLUMNS = 110
"""Narrower terminals get one column, with - and + before the lines."""
LEFT_OUT = "..."


def patch_lines(
    hunks: list[Hunk], width: int, *, whole: bool = False, numbered: bool = True
) -> Iterator[str]:
    """Yield the lines that show some hunks in a terminal of ``width`` columns.

    With ``whole`` functions are shown from the first line to the last; ``numbered`` says whether the place of
    a model includes the number of its first line.
    """
    for number, hunk in enumerate(hunks):
        yield from [""] * (number > 0)
        part, _, sentence = hunk.value.partition(": ")
        yield f"{hunk.name} (patch {part}): {sentence}"
        for change in hunk_changes(hunk):
            yield _place(change, numbered=numbered)
            rows = change.excerpt(len(change.rows) if whole else 1)
            columns = _two_columns(rows, width) if width >= TWO_COLUMNS else _one_column(rows)
            yield from (f"    {line}".rstrip() for line in columns)


def _place(change: HunkInFunction, *, numbered: bool) -> str:
    listing = change.listing
    helper = "" if listing.name == change.function else f", in its helper {listing.name}()"
    line = f":{listing.first_line}" if numbered else ""
    return f"  {change.kernel_file}: {change.function}(){helper}; model: {listing.file}{line}"


def _one_column(rows: list[Row | None]) -> Iterator[str]:
    for row in rows:
        if row is None:
            yield f"  {LEFT_OUT}"
        elif not row.changed:
            yield f"  {row.applied}"
        else:
            yield f"- {row.without}" if row.without is not None else f"+ {row.applied}"


def _two_columns(rows: list[Row | None], width: int) -> Iterator[str]:
    """Yield the two sides beside each other; lines that are too long go on in the next."""
    room = (width - 4 - len(" | ")) // 2 - len("- ")
    for left, right in _paired(rows):
        for one, other in zip_longest(_folded(left, room), _folded(right, room), fillvalue=""):
            yield f"{one:{room + 2}} | {other}"


def _paired(rows: list[Row | None]) -> Iterator[tuple[str, str]]:
    """Yield both sides of each line with their marks; what is taken out stands beside what comes in."""
    out: list[str] = []
    into: list[str] = []
    for row in rows:
        if row is not None and row.changed:
            if row.without is not None:
                out.append(f"- {row.without}")
            else:
                into.append(f"+ {row.applied}")
            continue
        yield from zip_longest(out, into, fillvalue="")
        out, into = [], []
        same = f"  {LEFT_OUT}" if row is None else f"  {row.applied}"
        yield same, same
    yield from zip_longest(out, into, fillvalue="")


def _folded(line: str, room: int) -> list[str]:
    indent = " " * (len(line) - len(line[2:].lstrip()) + 4)
    return textwrap.wrap(
        line, room + 2, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False
    ) or [""]

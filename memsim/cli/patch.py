"""``memsim patch``: the whole patch on one screen, each hunk as our model has it, before beside after."""

from __future__ import annotations

import shutil
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from memsim.cli.options import OK
from memsim.patch import Hunk, Patch
from memsim.view.model.hunks import HunkInFunction, Row, hunk_changes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from memsim.cli.options import Commands

TWO_COLUMNS = 110
"""Narrower terminals get one column, with - and + before the lines."""
LEFT_OUT = "..."


def add_to(commands: Commands) -> None:
    """Add ``patch``."""
    patch = commands.add_parser(
        "patch",
        help="show what each hunk of the patch changes, before beside after",
        description="Show the patch as it acts in the models: for each hunk the kernel's file and function, "
        "and the model without the hunk (-) beside the model with it (+). All other hunks are applied on "
        "both sides.",
    )
    patch.add_argument(
        "hunks",
        nargs="*",
        metavar="HUNK",
        help=f"hunks to show; without any, all: {', '.join(Hunk.__members__)}",
    )
    patch.add_argument("--whole", action="store_true", help="show whole functions, not only the changes")
    patch.set_defaults(command=command_patch)


def command_patch(arguments: argparse.Namespace) -> int:
    """``memsim patch``."""
    chosen = Patch(arguments.hunks) if arguments.hunks else Patch("after")
    width = shutil.get_terminal_size().columns
    for line in patch_lines([hunk for hunk in Hunk if hunk in chosen], width, whole=arguments.whole):
        print(line)
    return OK


def patch_lines(hunks: list[Hunk], width: int, *, whole: bool = False) -> Iterator[str]:
    """Yield the lines that show some hunks in a terminal of ``width`` columns."""
    for number, hunk in enumerate(hunks):
        yield from [""] * (number > 0)
        part, _, sentence = hunk.value.partition(": ")
        yield f"{hunk.name} (patch {part}): {sentence}"
        for change in hunk_changes(hunk):
            yield from _change_lines(change, width, whole=whole)


def _change_lines(change: HunkInFunction, width: int, *, whole: bool) -> Iterator[str]:
    listing = change.listing
    helper = "" if listing.name == change.function else f", in its helper {listing.name}()"
    yield f"  {change.kernel_file}: {change.function}(){helper}; model: {listing.file}:{listing.first_line}"
    rows = change.excerpt(len(change.rows) if whole else 1)
    columns = _two_columns(rows, width) if width >= TWO_COLUMNS else _one_column(rows)
    yield from (f"    {line}".rstrip() for line in columns)


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

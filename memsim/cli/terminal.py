"""The output of commands: tables, long lines, colours and maps, on a terminal and in a file.

On a terminal output fits its width, and has colours unless NO_COLOR is set; with ``rich`` installed tables
have
lines. In a file or a pipe it is plain text of any width, so that programs can read it. Colour is never the
only
signal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from memsim.linux.include.layout import hex_range
from memsim.view.model.page_class import PageClass, class_counts, page_classes
from memsim.view.model.text import COUNTERS, hotplugged_blocks, map_sentence

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from memsim.state.state import State
    from memsim.view.model.page_class import Classes

NARROWEST = 40
MAP_COLUMNS, MAP_ROWS = 64, 8
"""A map has this many columns at most, and this many rows of two cells above each other."""
UPPER_HALF = "\N{UPPER HALF BLOCK}"


def on_terminal() -> bool:
    """Return whether standard output is a terminal that can do more than print lines."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def has_colours() -> bool:
    """Return whether to print colours: on a terminal, unless NO_COLOR (no-color.org) is set."""
    return on_terminal() and not os.environ.get("NO_COLOR")


def width() -> int | None:
    """Return the columns of the terminal; None in a file, where lines have no end."""
    return max(NARROWEST, shutil.get_terminal_size().columns) if on_terminal() else None


def fitted(text: str) -> str:
    """Return a text whose lines fit the terminal; a line that goes on is indented two columns more."""
    columns = width()
    if columns is None:
        return text
    return "\n".join(_wrapped(line, columns) for line in text.split("\n"))


def _wrapped(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.strip(),
        columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def say(text: str = "") -> None:
    """Print a text so that it fits."""
    print(fitted(text))


def show_json(document: object) -> None:
    """Print a document as JSON."""
    print(json.dumps(document, indent=1))


def add_json(to: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    to.add_argument("--json", action="store_true", help="print the same as JSON")


def add_map(to: argparse.ArgumentParser) -> None:
    """Add ``--map``."""
    to.add_argument("--map", action="store_true", help="show hot-added memory blocks as maps, too")


# ---- tables ----------------------------------------------------------------------------------------


def show_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, the first column of which is text and the others numbers."""
    rows = [tuple(row) for row in rows]
    if on_terminal() and find_spec("rich") is not None:
        _show_rich(title, heads, rows)
        return
    cells = [tuple(heads), *rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    print(title)
    for row in cells:
        numbers = (cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))
        print("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())


def _show_rich(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    box, console, table = (import_module(f"rich.{name}") for name in ("box", "console", "table"))
    bold = "bold" if has_colours() else ""
    styles = {"title_style": bold, "header_style": bold}
    grid = table.Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, **styles)
    for at, head in enumerate(heads):
        grid.add_column(head, justify="right" if at else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.Console(no_color=not has_colours(), highlight=False, width=width()).print(grid)


def show_zones(states: Mapping[str, State]) -> None:
    """Print the counters of zones that have pages: a row for each zone, a column for each counter.

    Of two states a cell has both numbers, if they differ, with a slash between them.
    """
    rows = []
    for zones in zip(*(state.zones for state in states.values()), strict=True):
        if any(zone.spanned_pages for zone in zones):
            numbers = [[getattr(zone, name) for zone in zones] for name in COUNTERS.values()]
            rows.append([zones[0].name, *map(_cell, COUNTERS, numbers)])
    total = [state.totalram_pages for state in states.values()]
    names = " / ".join(states)
    title = f"Zone counters in pages ({names}); totalram {_cell('totalram', total)}"
    show_table(title, ["zone", *COUNTERS], rows)


def _cell(counter: str, numbers: Sequence[int]) -> str:
    shown = [f"{number:#x}" if counter == "start_pfn" else str(number) for number in numbers]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def zones_document(state: State) -> dict[str, dict[str, int]]:
    """Return the counters of all zones as JSON values."""
    return {
        zone.name: {name: int(getattr(zone, attribute)) for name, attribute in COUNTERS.items()}
        for zone in state.zones
    }


def blocks_document(state: State, block_pages: int) -> dict[str, dict[str, Any]]:
    """Return the hot-added memory blocks as JSON values: their state, and pages by class."""
    return {
        str(block): {
            "state": state.blocks.get(block),
            "pages": {
                kind.label: count
                for kind, count in class_counts(page_classes(state, block * block_pages, block_pages)).items()
            },
        }
        for block in hotplugged_blocks(state, block_pages)
    }


# ---- maps ------------------------------------------------------------------------------------------


def show_map(state: State, block_id: int, block_pages: int) -> None:
    """Print a memory block as a map of half blocks in colour, or of letters; then the same in words."""
    pfn = block_id * block_pages
    classes = page_classes(state, pfn, block_pages)
    cells = map_cells(classes, min(MAP_COLUMNS, (width() or MAP_COLUMNS)))
    each = block_pages // cells.size
    print(f"Block {block_id} {hex_range(pfn, block_pages)}, {each} pages each:")
    if has_colours():
        for upper, lower in zip(cells[::2], cells[1::2], strict=True):
            print("".join(map(_half_block, upper, lower)) + "\x1b[0m")
    else:
        print("\n".join("".join(PageClass(cell).letter for cell in row) for row in cells))
    if has_colours():
        print("  " + ", ".join(f"{_mark(kind)} {kind.letter}" for kind in class_counts(classes)))
    say(f"  {map_sentence(classes)}")


def map_cells(classes: Classes, columns: int) -> Classes:
    """Return a map of some pages: for each cell the class of its pages that is not free, if there is one.

    The number of columns is a power of two, so that all cells have as many pages.
    """
    columns = 1 << columns.bit_length() - 1
    groups = classes.reshape(MAP_ROWS * 2, columns, -1)
    first = groups[:, :, 0]
    order = np.argmax(groups != PageClass.FREE, axis=2)
    other = np.take_along_axis(groups, order[:, :, None], axis=2)[:, :, 0]
    cells: Classes = np.where((groups == first[:, :, None]).all(axis=2), first, other)
    return cells


def _half_block(upper: int, lower: int) -> str:
    return f"\x1b[38;2;{_rgb(upper)};48;2;{_rgb(lower)}m{UPPER_HALF}"


def _rgb(kind: int) -> str:
    colour = PageClass(kind).colour
    return ";".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))


def _mark(kind: PageClass) -> str:
    return f"\x1b[48;2;{_rgb(kind)}m  \x1b[0m"


def outcome_document(outcome: Any) -> dict[str, Any]:  # noqa: ANN401 (an Outcome)
    """Return how a step ended as JSON values."""
    return {
        "step": outcome.step,
        "errno": outcome.errno,
        "message": outcome.message,
        "expected": outcome.expected,
        "as_expected": outcome.as_expected,
    }

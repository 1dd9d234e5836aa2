"""``show_patch()`` and ``show_source()``, and the lines of ``memsim patch``.

The kernel's function comes first, in short and as pseudo-C, then our model of it. Hunks stand in two
columns, without the hunk and with it, or as a diff where a terminal is narrow. In HTML a changed line has a
sign, and is an ``<ins>`` or ``<del>``, so that no reader depends on colours. Styles are inline, for
JupyterLab drops style sheets from the outputs of a notebook that is not trusted.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from difflib import unified_diff
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

from memsim.patch import COMMITS, Hunk, Patch
from memsim.source.hunks import HunkInFunction, Row, hunk_changes
from memsim.source.linux_tree import VARIABLE, function_in, tree_of, versions_of
from memsim.source.listings import Listing, listing_of, listings
from memsim.source.models import find_model
from memsim.source.pseudo_c import PseudoC, pseudo_c

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
        yield from textwrap.wrap(f"{hunk.name} (patch {part}): {sentence}", width, subsequent_indent="    ")
        for short, changes in _with_models(hunk):
            yield f"  {short.kernel_file}: {short.function}()"
            yield from _columns(list(short.rows), width)
            for change in changes:
                yield f"  {_model_of(change)}" + (f":{change.listing.first_line}" if numbered else "")
                yield from _columns(change.excerpt(len(change.rows) if whole else 1), width)


def _with_models(hunk: Hunk) -> list[tuple[PseudoC, list[HunkInFunction]]]:
    """Return every function of the kernel that a hunk changes, each with the changes in our models of it."""
    changes = hunk_changes(hunk)
    shorts = pseudo_c(hunk)
    others = {(each.kernel_file, each.function) for each in changes} - {
        (short.kernel_file, short.function) for short in shorts
    }
    shorts += [PseudoC(*place, ()) for place in sorted(others)]  # of a hunk that is still being written
    return [(short, [each for each in changes if each.function == short.function]) for short in shorts]


def _model_of(change: HunkInFunction) -> str:
    listing = change.listing
    helper = "" if listing.name == change.function else f" in the helper {listing.name}(),"
    return f"our model,{helper} {listing.file}"


def _columns(rows: list[Row | None], width: int) -> Iterator[str]:
    columns = _two_columns(rows, width) if width >= TWO_COLUMNS else _one_column(rows, width)
    yield from (f"    {line}".rstrip() for line in columns)


def overview() -> list[tuple[str, str, str]]:
    """Return (patch and commit, hunk, functions by file) for every hunk of the series."""
    return [
        (f"{part} {COMMITS[part]}", hunk.name, _places(hunk)) for hunk in Hunk if (part := hunk.value[:3])
    ]


def _places(hunk: Hunk) -> str:
    files: dict[str, list[str]] = {}
    for short in pseudo_c(hunk):
        files.setdefault(short.kernel_file, []).append(f"{short.function}()")
    return "; ".join(f"{file}: {', '.join(functions)}" for file, functions in files.items())


def overview_lines(width: int) -> Iterator[str]:
    """Yield the series as a table: which hunk is in which commit, file and function."""
    yield "The series, in Linux 6.11"
    for commit, hunk, places in overview():
        row = f"  {commit}  {hunk:15}  "
        yield from textwrap.wrap(
            places, width, initial_indent=row, subsequent_indent=" " * len(row), break_long_words=False
        )


def _one_column(rows: list[Row | None], width: int) -> Iterator[str]:
    for row in rows:
        if row is None:
            line = f"  {LEFT_OUT}"
        elif not row.changed:
            line = f"  {row.applied}"
        else:
            line = f"- {row.without}" if row.without is not None else f"+ {row.applied}"
        yield from _folded(line, width - 4 - len("- "))


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


# ---- as HTML ---------------------------------------------------------------------------------------

_TITLES = ("without the hunk", "with the hunk")
_CODE = "margin: 0; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; font-size: 12px"
_LINE = "display: block; padding-left: 10ch; text-indent: -9ch; text-decoration: none; border-left: 3px "
_SAME = f"{_LINE}solid transparent"
_CHANGED = f"{_LINE}{{}} currentcolor; font-weight: bold"
_CELL = "width: 50%; vertical-align: top; text-align: left; padding: 2px 8px"


def hunk_html(hunk: Hunk) -> str:
    """Return a hunk: what it is for, and every function that it changes, with our model behind a fold."""
    part, _, sentence = hunk.value.partition(": ")
    shown = "".join(
        _figure(f"<code>{short.function}()</code> in {short.kernel_file}", list(short.rows))
        + "".join(map(model_html, changes))
        for short, changes in _with_models(hunk)
    )
    return f"<p><b>{hunk.name}</b> (patch {part}): {_with_code(sentence)}.</p>{shown}"


def model_html(change: HunkInFunction) -> str:
    """Return what a hunk changes in a model, to be unfolded."""
    return (
        f'<details style="margin: 0 0 8px"><summary>{_with_code(_model_of(change))}</summary>'
        f"{_figure('', change.excerpt())}</details>"
    )


def _figure(caption: str, rows: list[Row | None]) -> str:
    """Return a function without the hunk beside the same with it."""
    heads = "".join(f'<th scope="col" style="{_CELL}">{title}</th>' for title in _TITLES)
    sides = "".join(f'<td style="{_CELL}">{_side(rows, number)}</td>' for number in range(len(_TITLES)))
    return (
        f'<figure style="margin: 4px 0">{caption and f"<figcaption>{caption}</figcaption>"}'
        '<table style="width: 100%; table-layout: fixed; border-collapse: collapse">'
        f"<thead><tr>{heads}</tr></thead><tbody><tr>{sides}</tr></tbody></table></figure>"
    )


def _side(rows: list[Row | None], number: int) -> str:
    lines = []
    for row in rows:
        pair = (LEFT_OUT, LEFT_OUT) if row is None else (row.without, row.applied)
        text = pair[number]
        if text is not None:
            lines.append(_line(text, number if pair[0] != pair[1] else None))
    return f'<pre tabindex="0" style="{_CODE}">{"".join(lines)}</pre>'


def _line(text: str, changed_on: int | None) -> str:
    if changed_on is None:
        return f'<span style="{_SAME}">  {escape(text)}</span>'
    sign, tag, border = (("-", "del", "dashed"), ("+", "ins", "solid"))[changed_on]
    return f'<{tag} style="{_CHANGED.format(border)}">{sign} {escape(text)}</{tag}>'


def _with_code(sentence: str) -> str:
    """Return a sentence with the names of functions as code."""
    return re.sub(r"(\w+\(\))", r"<code>\1</code>", escape(sentence))


# ---- in a notebook ---------------------------------------------------------------------------------

_NARROW = 100


@dataclass(frozen=True, repr=False)
class ShownPatch:
    """Hunks to look at: HTML in a notebook, a diff as text."""

    hunks: tuple[Hunk, ...]

    def __repr__(self) -> str:
        """Return the text twin: pseudo-C and models as diffs."""
        return "\n".join(patch_lines(list(self.hunks), _NARROW, numbered=False))

    def _repr_html_(self) -> str:
        """Return the two columns."""
        return "".join(hunk_html(hunk) for hunk in self.hunks)


def show_patch(*hunks: str | Hunk) -> ShownPatch:
    """Show what hunks change in the kernel, as pseudo-C, and in our models; without any, the whole patch.

    Raises
    ------
    MemsimError
        A name is not that of a hunk.

    >>> print(show_patch("MEMORY_HOTPLUG"))
    MEMORY_HOTPLUG (patch 2/3): mhp_init_memmap_on_memory() clears Offline from self-hosted vmemmap
      mm/memory_hotplug.c: mhp_init_memmap_on_memory()
          mhp_init_memmap_on_memory(pfn, nr_pages, ...) {
              move_pfn_range_to_zone(zone, pfn, nr_pages, ...);
              for each page of the self-hosted vmemmap {
        +         clear type Offline of page;
                  set PG_vmemmap_self_hosted of page;
              }
          }
      our model, memsim/linux/mm/memory_hotplug/online.py
              move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.UNMOVABLE)
        +     kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)
              kernel.memmap.set_flags(pfn, nr_pages, PageFlag.VMEMMAP_SELF_HOSTED)
    """
    chosen = Patch(hunks) if hunks else Patch("after")
    return ShownPatch(tuple(hunk for hunk in Hunk if hunk in chosen))


# ---- one function ----------------------------------------------------------------------------------

NO_TREE = (
    "To see the kernel's own function here, name a kernel tree: as the second argument of show_source(), or "
    f"in the environment variable {VARIABLE}."
)
_SOURCE = "margin: 0 0 8px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px"


@dataclass(frozen=True, repr=False)
class ShownSource:
    """A model with its helpers, and the kernel's function by version, oldest first."""

    function: str
    kernel_file: str
    listings: tuple[Listing, ...]
    kernel: dict[str, str]
    note: str

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield (title, code) of everything that is shown: models, versions, and how two versions differ."""
        for listing in self.listings:
            yield f"model, {listing.file}: {listing.name}()", "\n".join(listing.lines)
        for version, text in self.kernel.items():
            yield f"kernel {version}, {self.kernel_file}: {self.function}()", text
        if len(self.kernel) > 1:
            (old, before), *_, (new, after) = self.kernel.items()
            changes = unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="", n=2)
            yield f"what changed from {old} to {new}", "\n".join(changes) or "nothing"

    def __repr__(self) -> str:
        """Return the text form."""
        shown = [f"{title}\n\n{_indented(code)}\n" for title, code in self.parts()]
        return "\n".join([*shown, self.note] if self.note else shown)

    def _repr_html_(self) -> str:
        """Return the same with each code in a box."""
        shown = [
            f'<figure style="margin: 4px 0"><figcaption>{escape(title)}</figcaption>'
            f'<pre tabindex="0" style="{_SOURCE}">{escape(code)}</pre></figure>'
            for title, code in self.parts()
        ]
        return "".join([*shown, f"<p>{escape(self.note)}</p>"] if self.note else shown)


def show_source(function: str, linux: str | Path | None = None) -> ShownSource:
    """Show the model of a kernel function, and the function itself where there is a kernel tree.

    ``linux`` names the tree: a git checkout, whose tags v6.10 and v6.11 show the function before and after
    the patch; an unpacked source package; or an archive of one. The default is the variable MEMSIM_LINUX.

    Raises
    ------
    MemsimError
        The function has no model; or ``linux`` is no source of a kernel.
    """
    name = function.removesuffix("()")
    (model, file), tree = find_model(name), tree_of(linux)
    shown = listings(name) or (listing_of(model),)
    if tree is None:
        return ShownSource(name, file, shown, {}, NO_TREE)
    found = {version: function_in(text, name) for version, text in versions_of(tree, file).items()}
    kernel = {version: text for version, text in found.items() if text is not None}
    note = "" if kernel else f"{tree} does not define {name}() in {file}."
    return ShownSource(name, file, shown, kernel, note)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in code.splitlines())

"""The matrix as a widget: a cell for each hunk, story and kind, which opens the run behind it.

Left out: what happens is in :mod:`memsim.view.half_patch.matrix`; how it looks in ``static/matrix.js``.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from memsim.linux.include.layout import pageblock_nr_pages
from memsim.patch import AFTER, Hunk
from memsim.view.half_patch.matrix import (
    KINDS,
    SHORT,
    STORIES,
    Effect,
    cell_of,
    matrix_chart,
    row_of,
    run_story,
    stored_cells,
    story_scenario,
)
from memsim.view.half_patch.runs import HalfRun, cut, sight_html
from memsim.view.lab import KernelWidget, view_of
from memsim.view.model.page_class import pageblock_letters, runs
from memsim.view.modules import joined

if TYPE_CHECKING:
    from memsim.view.half_patch.matrix import Cell

STATIC = Path(__file__).with_name("static")
TITLE = "Half a patch: each hunk alone, each hunk missing"
_NOTE = "Run this notebook to open another cell."
_SAYS = {"alone": "only this hunk", "missing": "all hunks but this"}


class Matrix(KernelWidget):
    """The matrix in the browser.

    Attributes
    ----------
    chosen
        The cell that a reader opened.
    detail
        The run behind it.
    """

    _esm = joined(STATIC / "matrix.js")
    _css = STATIC / "matrix.css"

    spec = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    detail = traitlets.Dict().tag(sync=True)


class MatrixLab:
    """The matrix, and one of its cells opened."""

    def __init__(self, start: Cell) -> None:
        """Open ``start`` first."""
        self.start = start

    @cached_property
    def _run(self) -> HalfRun:
        return run_of(self.start)

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs."""
        return {
            "title": TITLE,
            "hunks": [hunk.name for hunk in Hunk],
            "meanings": {hunk.name: hunk.value for hunk in Hunk},
            "stories": list(STORIES),
            "short": SHORT,
            "kinds": list(KINDS),
            "says": _SAYS,
            "effects": [{"name": e.name, "letter": e.letter, "words": e.words} for e in Effect],
            "cells": [row_of(cell) for cell in stored_cells()],
            "start": _address(self.start),
        }

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what a page without a kernel needs: every cell is run now."""
        return self.spec() | {"details": {key_of(cell): detail_of(cell) for cell in stored_cells()}}

    def html(self) -> str:
        """Return the static form: the run behind the first cell."""
        shown = sight_html(self._run, next(iter(self._run.blocks), None))
        return f'<div class="memsim-static"><b>{TITLE}</b>{shown}<p>{_NOTE}</p></div>'

    def __repr__(self) -> str:
        """Return the text form: all cells."""
        return f"{TITLE}\n{matrix_chart(check_pages=self.start.check_pages).text}\n{_NOTE}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        widget = Matrix(spec=self.spec(), detail=detail_of(self.start))
        widget.observe(lambda change: self._open(widget, change["new"]), "chosen")
        return {"text/plain": repr(self), "text/html": self.html(), **view_of(widget)}

    def _open(self, widget: Matrix, chosen: dict[str, Any]) -> None:
        hunk = Hunk[chosen["hunk"]]
        found = cell_of(hunk, chosen["story"], chosen["kind"], check_pages=chosen["check_pages"])
        widget.detail = detail_of(found)


def matrix_lab(
    hunk: Hunk = Hunk.MM_INIT, story: str = "virtio-mem", kind: str = "missing", *, check_pages: bool = True
) -> MatrixLab:
    """Return the matrix with a cell opened."""
    wanted = (hunk, story, kind, check_pages)
    (start,) = (c for c in stored_cells() if (c.hunk, c.story, c.kind, c.check_pages) == wanted)
    return MatrixLab(start)


def key_of(cell: Cell) -> str:
    """Return the name of a cell, as the browser makes it."""
    return "/".join([cell.hunk.name, cell.story, cell.kind, str(cell.check_pages).lower()])


def _address(cell: Cell) -> dict[str, Any]:
    row = row_of(cell)
    return {name: row[name] for name in ("hunk", "story", "kind", "check_pages")}


def run_of(cell: Cell) -> HalfRun:
    """Return the run behind a cell."""
    whole = run_story(cell.story, AFTER, check_pages=cell.check_pages)
    return HalfRun(story_scenario(cell.story), cell.patch, check_pages=cell.check_pages, whole=whole)


def detail_of(cell: Cell) -> dict[str, Any]:
    """Return the run behind a cell: both kernels at the end, as the browser shows them."""
    result = run_of(cell)
    block = result.blocks[0] if result.blocks else None
    sides = [] if block is None else [_side(result, side, block) for side in (0, 1)]
    failing = None
    if block is not None and cell.pfn is not None and cell.pfn // result.block_pages == block:
        failing = cell.pfn % result.block_pages // pageblock_nr_pages
    kept = f"{{Hunk.{cell.hunk.name}}}"
    patch = f"Patch({kept})" if cell.kind == "alone" else f"Patch.without({kept})"
    checks = "" if cell.check_pages else ", check_pages=False"
    return {
        "key": key_of(cell),
        "sides": sides,
        "failing": failing,
        "outcomes": list(result.half.outcomes),
        "log": cut(result.half.log)[:6],
        "broken": list(result.half.violations)[:4],
        "code": f'half_patch(story_scenario("{cell.story}"), {patch}{checks})',
    }


def _side(result: HalfRun, side: int, block: int) -> dict[str, Any]:
    shown = result.page_map(side, block)
    letters = pageblock_letters(shown.classes)
    return {
        "name": (result.half, result.whole)[side].title,
        "runs": [[letter, length] for letter, _, length in runs(letters)],
        "start": block * result.block_pages,
        "sentence": f"Block {block}: {shown.sentence}.",
        "marks": side == 0,
    }

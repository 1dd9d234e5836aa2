"""The chapter of the book that an assignment goes with: where a student reads again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.lesson.chapters import chapters, find_book

if TYPE_CHECKING:
    from pathlib import Path

    from memsim.grading.assignment.assignment import Assignment


@dataclass(frozen=True)
class Chapter:
    """A chapter: number and title, and its address if it is known where the web site of the book is."""

    number: int
    title: str
    address: str = ""


def chapter_of(assignment: Assignment, site: str = "") -> Chapter | None:
    """Return the chapter that an assignment goes with; None where the book is not at hand.

    ``site`` is the address of the book's web site, as ``--book`` gives it.
    """
    try:
        book = find_book()
    except MemsimError:
        return None
    for path in chapters(book) if assignment.chapter else []:
        if path.name.startswith(f"{assignment.chapter:02d}-"):
            address = f"{site.rstrip('/')}/{path.stem}.html" if site else ""
            return Chapter(assignment.chapter, _title(path), address)
    return None


def _title(path: Path) -> str:
    """Return the first heading of a notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            return "".join(cell["source"]).partition("# ")[2].partition("\n")[0].strip()
    return path.stem

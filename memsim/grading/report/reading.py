"""Where a student reads again: the chapter that an assignment goes with, and the section of a question."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.lesson.chapters import chapters, find_book

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from memsim.grading.assignment.assignment import Assignment

_HEADING = re.compile(r"^#{2,3} +(.*?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Chapter:
    """A chapter: number and title, and its address if it is known where the web site of the book is."""

    number: int
    title: str
    address: str = ""
    sections: Mapping[str, str] = field(default_factory=dict)
    """The heading under which each question's rules are explained, by the question's name."""

    def address_of(self, question: str) -> str:
        """Return the address of a question's section, of the chapter if it has none, or nothing."""
        section = self.sections.get(question)
        return f"{self.address}#{anchor(section)}" if self.address and section else self.address


def chapter_of(assignment: Assignment, site: str = "") -> Chapter | None:
    """Return the chapter that an assignment goes with; None where the book is not at hand.

    A question whose section the chapter does not have, as in another edition, has none.

    Parameters
    ----------
    site
        The address of the book's web site, as ``--book`` gives it.
    """
    try:
        book = find_book()
    except MemsimError:
        return None
    for path in chapters(book) if assignment.chapter else []:
        if path.name.startswith(f"{assignment.chapter:02d}-"):
            address = f"{site.rstrip('/')}/{path.stem}.html" if site else ""
            texts = list(_texts(path))
            there = sorted(headings(texts))
            found = {q.name: _heading(q.section, there) for q in assignment.questions if q.section}
            sections = {name: heading for name, heading in found.items() if heading}
            return Chapter(assignment.chapter, _title(texts, path.stem), address, sections)
    return None


def headings(texts: Iterable[str]) -> set[str]:
    """Return the headings of level 2 and 3 in Markdown texts."""
    return {heading for text in texts for heading in _HEADING.findall(text)}


def _heading(section: str, there: Iterable[str]) -> str:
    """Return the heading that a grading file names, with what follows a colon: ``Explain: the list``."""
    return next((each for each in there if each == section or each.startswith(f"{section}: ")), "")


def anchor(heading: str) -> str:
    """Return the id that the web site (docutils) gives to the section below a heading.

    >>> anchor("2/3: off again, on the way to the buddy"), anchor("Who is `PG_reserved`?")
    ('off-again-on-the-way-to-the-buddy', 'who-is-pg-reserved')
    """
    plain = unicodedata.normalize("NFKD", heading.lower()).encode("ascii", "ignore").decode()
    return re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", plain))


def _texts(path: Path) -> Iterable[str]:
    """Return the text cells of a notebook."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return ("".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "markdown")


def _title(texts: Iterable[str], name: str) -> str:
    """Return the first heading."""
    first = next(iter(texts), "")
    return first.partition("# ")[2].partition("\n")[0].strip() or name

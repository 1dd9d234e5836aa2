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

    from memsim.grading.assignment.assignment import Assignment, Question

_HEADING = re.compile(r"^#{2,3} +(.*?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A section: the number of its chapter, its heading, and the chapter's address if it is known."""

    chapter: int
    heading: str
    address: str = ""

    @property
    def link(self) -> str:
        """The address of the section, or nothing."""
        return f"{self.address}#{anchor(self.heading)}" if self.address else ""


@dataclass(frozen=True)
class Chapter:
    """A chapter: number and title, and its address if it is known where the web site of the book is."""

    number: int
    title: str
    address: str = ""
    sections: Mapping[str, Section] = field(default_factory=dict)
    """The section in which each question's rules are explained, by the question's name."""


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
    paths = {path.name[:2]: path for path in chapters(book)}
    own = paths.get(f"{assignment.chapter:02d}") if assignment.chapter else None
    if own is None:
        return None
    found = {q.name: _section(paths, q, assignment.chapter, site) for q in assignment.questions}
    sections = {name: section for name, section in found.items() if section}
    return Chapter(assignment.chapter, _title(_texts(own), own.stem), _address(own, site), sections)


def _section(paths: Mapping[str, Path], question: Question, chapter: int, site: str) -> Section | None:
    """Return the section that a question names, if the chapter has it."""
    number = question.chapter or chapter
    path = paths.get(f"{number:02d}")
    if path is None or not question.section:
        return None
    heading = _heading(question.section, sorted(headings(_texts(path))))
    return Section(number, heading, _address(path, site)) if heading else None


def _address(path: Path, site: str) -> str:
    """Return the address of a chapter on the book's web site, or nothing."""
    return f"{site.rstrip('/')}/{path.stem}.html" if site else ""


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

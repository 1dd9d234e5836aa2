"""Collect the words that the chapters define into book/glossary.ipynb, and link their uses to it.

    python -m tests.tools.glossary                 write the glossary (part of `make book`)
    python -m tests.tools.glossary --link FILE...  link the first use of each word in these chapters

A word is defined once, in a Markdown cell tagged `glossary`, as `- **word**: what it means`. All other
chapters link it where they use it first: those after that one as a reminder, those before it because they
use a word that is not explained yet. So does the chapter itself above that cell. The welcome page explains
its words itself. Each word has a cell of its own in the glossary, named after it, since JupyterLab jumps to
a cell by its id at once.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.book.reading import BOOK, CHAPTERS, LINK, cells, headings, source, tags
from tests.tools.notebooks import notebook_of, prose, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATH = BOOK / "glossary.ipynb"
# Everyday English as well: no program can tell whether a chapter means the word or *the* word, so its first
# use need not be linked.
EVERYDAY = {
    *("block", "chunk", "grant", "guest", "host", "mark", "merge", "migration", "moment", "node"),
    *("offline", "online", "order", "poison"),
    *("probe", "recording", "reservation", "reserved", "review", "section", "series", "split", "walker"),
}
TITLE = """# Glossary

Every word that the book defines, each once, with the chapter that introduces it.
The [welcome page](00-welcome.ipynb) explains those that you need first.

<!-- `make book` collects this page from the chapters: change a definition there. -->
"""
_ITEM = re.compile(r"^- \*\*(?P<name>[^*]+)\*\*: (?P<definition>.+(?:\n +\S.*)*)", re.MULTILINE)
_TO_A_CLAIM = re.compile(r"\[✓\]\([\w.-]*#cell-id=[^)]*\)")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} .*$", re.MULTILINE)


@dataclass(frozen=True)
class Term:
    """A word, what it means, and where it is defined."""

    name: str
    definition: str
    chapter: str
    cell: str

    @property
    def anchor(self) -> str:
        """The id of its cell in the glossary."""
        return re.sub(r"[^A-Za-z0-9_]+", "-", self.name).strip("-")

    @property
    def word(self) -> str:
        """The word as it stands in a sentence: `poison (memmap)` is used as poison."""
        return re.sub(r" \(.*\)$", "", self.name)


def terms_of(notebook: dict[str, Any], chapter: str) -> list[Term]:
    """Return the words that a chapter defines."""
    return [
        Term(item["name"].strip("`"), definition(item["definition"]), chapter, cell.get("id", ""))
        for cell in cells(notebook, "markdown")
        if "glossary" in tags(cell)
        for item in _ITEM.finditer(source(cell))
    ]


def definition(text: str) -> str:
    """Return a definition on one line, without the marks that lead to claims of its chapter.

    >>> definition("a free block[✓](01-a.ipynb#cell-id=claim-5)\\n  of a zone")
    'a free block of a zone'
    """
    return " ".join(_TO_A_CLAIM.sub("", text).split())


def collect(chapters: Iterable[Path]) -> list[Term]:
    """Return the words of all chapters, in the order of the chapters."""
    return [term for path in chapters for term in terms_of(read(path), path.name)]


def read(path: Path) -> dict[str, Any]:
    """Read a notebook."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


# ---- where words are used --------------------------------------------------------------------------------


def prose_only(text: str, words: Iterable[str]) -> str:
    """Return text of the same length in which all that is no prose is blank: code, headings, links.

    >>> prose_only("a `pfn` and `x` [b](c)", ["pfn"])
    'a `pfn` and           '
    """
    for pattern in (_FENCE, _HEADING, LINK):
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    known = set(words)
    return _CODE_SPAN.sub(lambda match: match[0] if match[1] in known else " " * len(match[0]), text)


def uses(text: str, words: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Return each use of one of the words in a cell's text, the longest word where several fit.

    >>> [(word, match[0]) for word, match in uses("Free pages, free lists", ["free", "free list"])]
    [('free', 'Free'), ('free list', 'free lists')]
    """
    spelled = {spelling: word for word in words for spelling in (word, sentence(word))}
    if not spelled:
        return
    one_of = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
    # A hyphen, an underscore or a slash makes another word of it: pfn_to_page, kcore-like, xen/balloon.c.
    pattern = re.compile(rf"(?<![\w/-])`?(?P<word>{one_of})(?:e?s)?`?(?![\w/-])")
    for match in pattern.finditer(prose_only(text, spelled)):
        yield spelled[match["word"]], match


def linked(text: str) -> Iterator[tuple[str, int]]:
    """Return the anchor of each word that a cell's text links to, and where."""
    for link in LINK.finditer(text):
        name, _, anchor = link["target"].partition("#cell-id=")
        if name == PATH.name:
            yield anchor, link.start()


def unlinked(notebook: dict[str, Any], terms: Iterable[Term]) -> list[tuple[Term, int, re.Match[str]]]:
    """Return the first use of each word that is not linked by then: (term, number of the cell, where)."""
    by_word = {term.word: term for term in terms if term.word not in EVERYDAY}
    seen: set[str] = set()
    found = []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "markdown":
            continue
        links = list(linked(source(cell)))
        for word, match in uses(source(cell), by_word):
            term = by_word[word]
            before = {anchor for anchor, place in links if place < match.start()}
            if term.anchor not in seen | before:
                found.append((term, number, match))
            seen.add(term.anchor)
        seen |= {anchor for anchor, _ in links}
    return found


def elsewhere(terms: Iterable[Term], chapter: str) -> list[Term]:
    """Return the words that a chapter owes a link: those of other chapters, on the welcome page none."""
    return [term for term in terms if term.chapter != chapter and not chapter.startswith("00-")]


def owed(
    notebook: dict[str, Any], terms: Iterable[Term], chapter: str
) -> list[tuple[Term, int, re.Match[str]]]:
    """Return the first uses that a chapter must link: of others' words, and of its own above their cell."""
    terms = list(terms)
    found = unlinked(notebook, elsewhere(terms, chapter))
    for term in terms:
        if term.chapter == chapter:
            places = [number for number, cell in enumerate(notebook["cells"]) if cell.get("id") == term.cell]
            above = notebook["cells"][: places[0]] if places else []
            found += unlinked({"cells": above}, [term])
    return sorted(found, key=lambda use: (use[1], use[2].start()))


def link(notebook: dict[str, Any], found: Iterable[tuple[Term, int, re.Match[str]]]) -> int:
    """Link uses of words, in the order of :func:`owed`, in a notebook; returns how many links that made."""
    found = list(found)
    for term, number, match in reversed(found):
        cell = notebook["cells"][number]
        text = source(cell)
        new = f"[{match[0]}]({PATH.name}#cell-id={term.anchor})"
        cell["source"] = (text[: match.start()] + new + text[match.end() :]).splitlines(keepends=True)
    return len(found)


# ---- the page ----------------------------------------------------------------------------------------------


def glossary(terms: Iterable[Term], titles: dict[str, str]) -> dict[str, Any]:
    """Return the glossary; ``titles`` are those of the chapters."""
    entries = [
        prose(term.anchor, f"## {term.name}\n\n{sentence(term.definition)}\n\n{origin(term, titles)}")
        for term in sorted(terms, key=lambda term: (term.name.lower(), term.name))
    ]
    return notebook_of(prose("all-words", TITLE), *entries)


def sentence(text: str) -> str:
    """Return a definition with a capital letter, unless it starts with a name of the kernel."""
    return text[:1].upper() + text[1:]


def origin(term: Term, titles: dict[str, str]) -> str:
    """Return the line that says where a word comes from."""
    title, place = titles[term.chapter], f"{term.chapter}#cell-id={term.cell}"
    return f"Introduced in chapter {int(term.chapter[:2])}, [{title}]({place})."


def titles_of(chapters: Iterable[Path]) -> dict[str, str]:
    """Return the title of each chapter by its file name."""
    return {path.name: headings(read(path))[0][1] for path in chapters}


def main(arguments: list[str]) -> int:
    """Write the glossary, or link words in chapters."""
    terms = collect(CHAPTERS)
    if arguments[:1] == ["--link"]:
        for path in map(Path, arguments[1:]):
            notebook = read(path)
            made = link(notebook, owed(notebook, terms, path.name))
            write(path, notebook)
            print(f"{path.name}: {made} links to the glossary made")
        return 0
    write(PATH, glossary(terms, titles_of(CHAPTERS)))
    print(f"{PATH.name}: {len(terms)} words.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

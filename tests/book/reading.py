"""How the tests of the book read a notebook: prose, headings, sections, links, and what its code calls."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOK = Path(os.environ.get("MEMSIM_BOOK") or Path(__file__).parents[2] / "book")
NOTEBOOKS = sorted(BOOK.glob("**/[!.]*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if re.match(r"\d\d-", path.name)]

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_CODE_SPAN = re.compile(r"`[^`]*`")


def joined(text):
    """Return the text of a cell or an output, which is stored whole or as lines."""
    return text if isinstance(text, str) else "".join(text)


def source(cell):
    return joined(cell["source"])


def cells(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def outputs(notebook):
    return [output for cell in cells(notebook, "code") for output in cell["outputs"]]


def tags(cell):
    return set(cell["metadata"].get("tags", []))


def lines(cell) -> Iterator[str]:
    """Return the lines of a Markdown cell, without blocks of code."""
    fenced = False
    for line in source(cell).splitlines():
        fence = line.lstrip().startswith(("```", "~~~"))
        if not fenced and not fence:
            yield line
        fenced ^= fence


def heading(line):
    """Return (level, title) if a line is a heading."""
    match = _HEADING.match(line)
    return (len(match[1]), match[2]) if match else None


def headings(notebook):
    """Return (level, title) of all headings, in order."""
    found = (heading(line) for cell in cells(notebook, "markdown") for line in lines(cell))
    return [each for each in found if each]


@dataclass
class Section:
    """What stands below one heading of level 2, up to the next; the first is what stands before any."""

    title: str
    prose: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.prose)

    def calls(self) -> Counter[str]:
        return sum(map(called, self.code), Counter())


def sections(notebook) -> list[Section]:
    found = [Section("")]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            found[-1].code.append(source(cell))
        elif cell["cell_type"] == "markdown":
            for line in lines(cell):
                title = heading(line)
                if title and title[0] == 2:
                    found.append(Section(title[1]))
                else:
                    found[-1].prose.append(line)
    return found


def called(code: str) -> Counter[str]:
    """Return how often each name is called in a piece of code, as written."""
    calls = [node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return Counter(f.id if isinstance(f, ast.Name) else getattr(f, "attr", "") for f in calls)


def calls(notebook) -> Counter[str]:
    return sum((called(source(cell)) for cell in cells(notebook, "code")), Counter())


def words(notebook) -> int:
    """Return how many words of prose a notebook has: code and the targets of links are not read."""
    text = " ".join(line for cell in cells(notebook, "markdown") for line in lines(cell))
    return sum(any(map(str.isalnum, word)) for word in LINK.sub(r"\g<text>", text).split())


def links(cell) -> list[tuple[str, str]]:
    """Return (text, target) of each link of a Markdown cell, those in code left out."""
    text = "\n".join(lines(cell))
    code = [match.span() for match in _CODE_SPAN.finditer(text)]
    return [
        (match["text"], match["target"])
        for match in LINK.finditer(text)
        if not any(start < match.start() < end for start, end in code)
    ]


def heading_anchor(title: str) -> str:
    """Return the anchor that JupyterLab and nbconvert give to a heading."""
    return re.sub(r"[`*]", "", LINK.sub(r"\g<text>", title)).replace(" ", "-")


def anchors(notebook) -> set[str]:
    """Return what a link into a notebook may name: a heading, or a cell by its id."""
    return {heading_anchor(title) for _, title in headings(notebook)} | {
        f"cell-id={cell['id']}" for cell in notebook["cells"] if "id" in cell
    }


class Images(HTMLParser):
    """The images of a piece of HTML, and which of them say nothing to those who cannot see them."""

    def __init__(self, html):
        super().__init__()
        self.found = 0
        self.silent = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += tag in {"img", "svg"}
        if tag == "img" and not (dict(attrs).get("alt") or "").strip():
            self.silent.append(self.get_starttag_text()[:80])


# ---- notebooks for trying a rule on ------------------------------------------------------------------------


def markdown(text, **more) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text} | more


def code(text, count, *bundles) -> dict[str, Any]:
    made = [
        {"output_type": "display_data", "data": data, "metadata": metadata or {}}
        for data, metadata in ((bundle if isinstance(bundle, tuple) else (bundle, {})) for bundle in bundles)
    ]
    return {
        "cell_type": "code",
        "metadata": {},
        "execution_count": count,
        "source": text,
        "outputs": made,
    }


def book_of(*cells_) -> dict[str, Any]:
    return {"cells": list(cells_), "metadata": {"kernelspec": {}}, "nbformat": 4, "nbformat_minor": 5}


def put(value, *place):
    """Return a break: it puts a value into a notebook."""

    def break_it(notebook):
        *path, last = place
        for step in path:
            notebook = notebook[step]
        notebook[last] = value

    return break_it

"""Links inside the book lead to a file, and in it to a heading or a cell, that is there.

In JupyterLab a link into another notebook must name a cell (`02-the-memmap.ipynb#cell-id=explain`): it
looks for a cell at once, but for a heading before the headings are rendered, and so stays at the top. A link
to a cell must name the notebook even if it is its own: else a JupyterLab that draws only the cells in sight
does not move, and what is copied to the glossary leads nowhere.
"""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import unquote

import pytest

from .reading import NOTEBOOKS, anchors, book_of, cells, links, markdown

ELSEWHERE = ("http://", "https://", "mailto:")


def dead_links(notebook, folder):
    """Return what is wrong with the links of a notebook that lies in ``folder``."""
    for cell in cells(notebook, "markdown"):
        for _, target in links(cell):
            if not target.startswith(ELSEWHERE):
                yield from problems(unquote(target), notebook, folder)


def problems(target, notebook, folder):
    name, _, anchor = target.partition("#")
    path = folder / name
    if name and not path.is_file():
        yield f"{target}: there is no such file"
    elif name and path.suffix == ".ipynb" and anchor:
        if not anchor.startswith("cell-id="):
            yield f"{target}: a link into another notebook must name a cell, #cell-id=..."
        elif anchor not in anchors_of(path):
            yield f"{target}: that notebook has no such cell"
    elif not name and anchor.startswith("cell-id="):
        yield f"{target}: a link to a cell must name the notebook, even its own"
    elif not name and anchor not in anchors(notebook):
        yield f"{target}: there is no such heading or cell here"


@cache
def anchors_of(path):
    return anchors(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert list(dead_links(notebook, path.parent)) == []


@pytest.fixture
def folder(tmp_path):
    """A folder with a notebook to link to."""
    other = book_of(markdown("# Other\n## `PG_reserved` and all", id="explain"))
    (tmp_path / "02-other.ipynb").write_text(json.dumps(other), encoding="utf-8")
    (tmp_path / "one.json").write_text("{}", encoding="utf-8")
    return tmp_path


GOOD = (
    "# A title\n[a](02-other.ipynb), [b](02-other.ipynb#cell-id=explain), [c](#A-title), [d](one.json),\n"
    "[e](https://www.kernel.org), `[f](nowhere.md)`\n```\n[h](nowhere.md)\n```\n## End"
)


def test_good_links_pass(folder):
    assert list(dead_links(book_of(markdown(GOOD, id="here")), folder)) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[x](03-gone.ipynb)", "no such file"),
        ("[`x`](two.json)", "no such file"),
        ("[x](02-other.ipynb#Other)", "must name a cell"),
        ("[x](02-other.ipynb#cell-id=gone)", "no such cell"),
        ("[x](#cell-id=here)", "must name the notebook"),
        ("[x](#Another-title)", "no such heading or cell"),
    ],
)
def test_a_dead_link_is_found(folder, link, problem):
    found = list(dead_links(book_of(markdown(f"{GOOD}\n{link}", id="here")), folder))
    assert len(found) == 1
    assert problem in found[0]


def test_headings_are_named_as_jupyterlab_does(folder):
    notebook = book_of(markdown("# One `PG_reserved` *page*\n[x](#One-PG_reserved-page)"))
    assert list(dead_links(notebook, folder)) == []

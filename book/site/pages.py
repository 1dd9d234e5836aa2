"""From a notebook to what MyST-NB makes a page of.

Links between notebooks name cells, as JupyterLab wants it (``02-x.ipynb#cell-id=words``); pages have labels
in their place. The welcome page becomes ``index``, and has the contents.
"""

from __future__ import annotations

import copy
import re
from typing import Any

FIRST = "00-welcome.ipynb"
PARTS = {"Chapters": (r"\d\d-", ":numbered: 1\n"), "Appendices": (r"\D", "")}
"""What the file names of a part begin with, and how its pages stand in the contents."""
_LINK = re.compile(r"\]\((?P<file>[\w.-]*)#cell-id=(?P<cell>[^)\s]+)\)")
_TO_FIRST = f"]({FIRST})"


def label(name: str, cell: str) -> str:
    """Return the label of a cell.

    >>> label("02-the-memmap.ipynb", "words")
    '02-the-memmap--words'
    """
    return f"{name.removesuffix('.ipynb')}--{cell}"


def source(cell: dict[str, Any]) -> str:
    """Return the text of a cell, which is stored whole or as lines."""
    return "".join(cell["source"])


def targets(notebooks: dict[str, dict[str, Any]]) -> set[str]:
    """Return the labels of all cells that a link leads to."""
    return {
        label(match["file"] or name, match["cell"])
        for name, notebook in notebooks.items()
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown"
        for match in _LINK.finditer(source(cell))
    }


def page_of(notebook: dict[str, Any], name: str, linked: set[str]) -> dict[str, Any]:
    """Return a copy of a notebook with labels and links of pages; code that is folded stays so.

    The label of a cell of code stands in a cell of its own, before it.
    """
    page = copy.deepcopy(notebook)
    cells = []
    for cell in page["cells"]:
        here = label(name, cell["id"])
        target = f"({here})=\n" if here in linked else ""
        if cell["cell_type"] == "markdown":
            cell["source"] = target + links(source(cell), name)
        elif target:
            cells.append(
                {"cell_type": "markdown", "id": f"{cell['id']}-label", "metadata": {}, "source": target}
            )
        cells.append(cell)
    return page | {"cells": cells}


def runs_at(page: dict[str, Any], address: str) -> None:
    """Say below the title of a page where its cells can be run, for here they cannot."""
    if all(cell["cell_type"] == "markdown" for cell in page["cells"]):
        return
    first = page["cells"][0]
    link = f'<a href="{address}">Run the cells on Binder</a>'
    first["source"] = f'{source(first)}\n\n<p class="memsim-run">The outputs here are stored. {link}</p>'


def links(text: str, name: str) -> str:
    """Return the text of a cell with the links of pages.

    >>> links("[a](02-b.ipynb#cell-id=words), [c](#cell-id=d), [e](00-welcome.ipynb)", "01-f.ipynb")
    '[a](#02-b--words), [c](#01-f--d), [e](index.ipynb)'
    """
    text = _LINK.sub(lambda match: f"](#{label(match['file'] or name, match['cell'])})", text)
    return text.replace(_TO_FIRST, "](index.ipynb)")


def contents(names: list[str], reference: list[str]) -> dict[str, Any]:
    """Return a cell that puts pages in the contents: chapters, appendices and the reference."""
    trees = []
    for caption, (pattern, how) in PARTS.items():
        options = f":caption: {caption}\n:hidden:\n{how}"
        trees.append("\n".join(["```{toctree}", options, *_matching(names, pattern), "```"]))
    trees.append("\n".join(["```{toctree}", ":caption: Reference", ":hidden:", "", *reference, "```"]))
    return {"cell_type": "markdown", "id": "contents", "metadata": {}, "source": "\n\n".join(trees)}


def _matching(names: list[str], pattern: str) -> list[str]:
    return [name.removesuffix(".ipynb") for name in names if re.match(pattern, name) and name != FIRST]

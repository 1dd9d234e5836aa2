"""A question that offers to show a place names a moment that the explorer on its page has."""

from __future__ import annotations

import ast
import json

import pytest

from book.site.players import explorers
from memsim.lesson import read_questions
from tests.book.reading import NOTEBOOKS

CHAPTERS = ("01-one-block-comes-online", "03-the-geography", "04-boot")


def places(notebook, path):
    """Return what the questions of a notebook give as ``show``, in its code or in the file beside it."""
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    calls = [node for text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    shown = [word.value for call in calls for word in call.keywords if word.arg == "show"]
    here = [eval(ast.unparse(value), {}) for value in shown]  # noqa: S307 (our book)
    beside = path.parent / "questions" / f"{path.stem}.toml"
    asked = read_questions(beside).values() if beside.exists() else ()
    return here + [question["show"] for question in asked if "show" in question]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_explorer_has_every_place_that_a_question_shows(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    found = places(notebook, path)
    if path.stem in CHAPTERS:
        assert len(found) > 1
    if not found:
        return
    ((_, explorer),) = explorers(notebook, path)  # one on a page, so that there is no doubt which
    for step, point, *page in found:
        explorer.walk.find(step, point)
        for pfn in page:
            explorer.walk.check_block(pfn // explorer.walk.block_pages)

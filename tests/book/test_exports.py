"""What nbconvert makes of a chapter with the settings of the book: no answer above its question."""

from __future__ import annotations

import html
import json
import re
import tomllib
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, PythonExporter, SlidesExporter
from traitlets.config import Config

from tests.tools.lite import write_notebooks

from .reading import BOOK, CHAPTERS, NOTEBOOKS, called, cells, joined, source

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

QUESTIONS = BOOK / "questions"
ASKING = [path for path in NOTEBOOKS if (QUESTIONS / f"{path.stem}.toml").exists()]
SETTINGS = json.loads((BOOK / "jupyter_nbconvert_config.json").read_text(encoding="utf-8"))
EXPORTERS = (HTMLExporter, LatexExporter, MarkdownExporter, PythonExporter, SlidesExporter)
SAME = 40
"""Letters and digits of an explanation that no text has by chance."""

SHORT = 8
"""*Yes.* and *People do.* may stand anywhere."""


def explanations(path: Path) -> dict[str, str]:
    """Return the beginning of each explanation of a notebook, by its question."""
    tables = tomllib.loads((QUESTIONS / f"{path.stem}.toml").read_text(encoding="utf-8"))
    texts = {}
    for name, table in tables.items():
        explained = table.get("explanations") or table["explain"]
        for number, text in enumerate(explained.values() if isinstance(explained, dict) else [explained]):
            texts[f"{name}, {number}"] = bare(text)[:SAME]
    return {name: text for name, text in texts.items() if len(text) > SHORT}


def bare(text: str) -> str:
    """Return letters and digits only: exporters wrap, escape and colour the rest, each in its own way."""
    text = html.unescape(
        re.sub(r"<(style|script)\b.*?</\1>|</?[a-zA-Z][^>]*>|\\PY\{\w+\}", "", text, flags=re.DOTALL)
    )
    return re.sub(r"[\W_]", "", text)


def questions_of(*paths: Path) -> NotebookNode:
    """Return the cells that ask, of all notebooks, as one, without their outputs."""
    books = [nbformat.read(path, as_version=4) for path in paths]
    code = [
        cell
        for book in books
        for cell in book.cells
        if cell.cell_type == "code" and called(cell.source).keys() & {"quiz", "predict"}
    ]
    made = [nbformat.v4.new_code_cell(cell.source, metadata=cell.metadata) for cell in code]
    return nbformat.v4.new_notebook(cells=made)


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.__name__)
def test_no_export_shows_an_answer_above_its_question(exporter):
    """Without the settings of the book: GitHub, nbviewer and Colab have none of them."""
    made, _ = exporter().from_notebook_node(questions_of(*ASKING))
    page = bare(made)
    for path in ASKING:
        assert [name for name, text in explanations(path).items() if text in page] == [], path.stem
    assert not re.search(r"\bcorrect\s*=", made)


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.stem)
def test_a_viewer_of_notebooks_shows_questions_and_no_answers(path):
    """What stands in the file, outputs included, is what GitHub renders."""
    page = bare(path.read_text(encoding="utf-8").replace("\\n", " "))
    tables = tomllib.loads((QUESTIONS / f"{path.stem}.toml").read_text(encoding="utf-8"))
    assert [name for name, text in explanations(path).items() if text in page] == []
    outputs = " ".join(
        joined(output["data"].get("text/plain", ""))
        for cell in cells(json.loads(path.read_text(encoding="utf-8")), "code")
        for output in cell["outputs"]
        if "data" in output
    )
    assert [
        name for name, table in tables.items() if bare(table["question"])[:SAME] not in bare(outputs)
    ] == []


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.__name__)
def test_an_answer_in_the_code_would_be_found(exporter, tmp_path):
    path = tmp_path / "ch.ipynb"
    text = "That is what one expects, and what the hardware suggests."
    cell = nbformat.v4.new_code_cell(f'quiz("Who?", {{"I": "{text}"}}, correct="I")')
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    made, _ = exporter().from_notebook_node(questions_of(path))
    assert bare(text)[:SAME] in bare(made)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_text_in_columns_brings_its_font_along(path):
    # nbconvert's pages give <pre> the font of the text; only the element itself can say more. It wraps and
    # does not scroll: what scrolls must take the focus, and JupyterLab drops that from untrusted outputs.
    page, _ = HTMLExporter(config=Config(SETTINGS)).from_filename(str(path))
    figures = re.findall(r'<figure class="memsim-static".*?</figure>', page, re.DOTALL)
    styles = re.findall(r'<pre style="([^"]*)">', "".join(figures))
    for style in styles:
        assert "monospace" in style
        assert "white-space: pre-wrap;" in style
        assert "overflow-x" not in style
    if path == CHAPTERS[1]:
        assert "Moment 29 of 157" in page
        assert styles


def test_the_copy_for_the_browser_alone_shows_its_outputs_before_anything_runs(tmp_path):
    """`make lite` adds a cell that installs memsim, and keeps all that is stored."""
    write_notebooks(BOOK, tmp_path / "files")
    copied = sorted((tmp_path / "files").glob("*.ipynb"))
    assert [path.name for path in copied] == [path.name for path in NOTEBOOKS]
    for path in copied:
        ours = json.loads(path.read_text(encoding="utf-8"))
        install = ours["cells"].pop(1)
        assert "%pip install -q memsim" in source(install)
        assert ours == json.loads((BOOK / path.name).read_text(encoding="utf-8"))
        shown = [cell for cell in cells(ours, "code") if cell["outputs"]]
        assert shown or not cells(ours, "code"), path.name
        for cell in shown:
            # A widget's view is a number that means nothing here: HTML or text stands beside it.
            forms = [output.get("data", {"text/plain": ""}) for output in cell["outputs"]]
            assert all({"text/html", "text/plain"} & set(form) for form in forms), (path.name, cell["id"])

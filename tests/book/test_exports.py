"""What nbconvert makes of a chapter with the settings of the book: no answer above its question."""

from __future__ import annotations

import json
import re

import pytest
from nbconvert import HTMLExporter, MarkdownExporter, SlidesExporter
from traitlets.config import Config

from tests.tools.lite import write_notebooks

from .reading import BOOK, CHAPTERS, NOTEBOOKS, cells, joined, source, tags

SETTINGS = json.loads((BOOK / "jupyter_nbconvert_config.json").read_text(encoding="utf-8"))
EXPORTERS = (HTMLExporter, MarkdownExporter, SlidesExporter)


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.__name__)
def test_no_export_shows_the_code_that_gives_an_answer_away(exporter):
    path = CHAPTERS[1]
    hidden = [
        cell
        for cell in cells(json.loads(path.read_text(encoding="utf-8")), "code")
        if "hide-input" in tags(cell) and "correct=" in source(cell)
    ]
    with_settings, _ = exporter(config=Config(SETTINGS)).from_filename(str(path))
    without, _ = exporter().from_filename(str(path))
    assert hidden
    for page, shown in ((with_settings, False), (without, True)):
        assert ("correct" in page) is shown, "the settings make the difference"
    question = joined(hidden[0]["outputs"][0]["data"]["text/plain"]).splitlines()[1].removeprefix("  ( ) ")
    assert question in with_settings


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
        assert "Moment 28 of 156" in page
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

"""The book as HTML pages: nothing in them keeps a reader out, and they ask no other host for anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import axe_playwright_python
import pytest
from nbconvert import MarkdownExporter

from tests.book.reading import BOOK, NOTEBOOKS
from tests.tools.export_html import FOLDED, export

from .notebook import code_cells, source, stored

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
GRAVE = {"serious", "critical"}


def violations(page, within="document"):
    """Return what axe-core finds on a page that keeps readers out: rule, how bad, and the first elements."""
    page.evaluate(AXE)
    found = page.evaluate(f"axe.run({within}, {{ resultTypes: ['violations'] }})")["violations"]
    return [
        f"{each['impact']} {each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found
        if each["impact"] in GRAVE
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_exported_notebook_keeps_nobody_out(path, page, tmp_path):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    target = tmp_path / f"{path.stem}.html"
    target.write_text(export(path), encoding="utf-8")
    page.goto(target.as_uri())
    assert violations(page) == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    images = page.locator("main img")
    assert all(image.evaluate("image => image.naturalWidth") > 0 for image in images.all())


def test_no_exported_page_shows_an_answer_before_it_is_asked_for(page):
    path = BOOK / "01-one-block-comes-online.ipynb"
    hidden = [c for c in code_cells(stored(path)) if c["metadata"].get("jupyter", {}).get("source_hidden")]
    page.set_content(export(path))
    folded = page.locator(f"details:has(> summary:text-is('{FOLDED}'))")
    shown = [each.locator(".highlight").is_visible() for each in folded.all()]
    assert shown == [False] * len(hidden)
    assert hidden
    folded.first.locator("summary").press("Enter")
    assert folded.first.locator(".highlight").is_visible()


def test_an_exported_chapter_is_alive_without_a_kernel(page, tmp_path):
    target = tmp_path / "chapter.html"
    target.write_text(export(BOOK / "01-one-block-comes-online.ipynb"), encoding="utf-8")
    page.goto(target.as_uri())
    page.wait_for_function("document.querySelector('.memsim-explore')?.explorer")
    page.locator(".memsim-explore").focus()
    page.keyboard.press("Home")
    page.keyboard.press("d")
    page.locator(".memsim-explore .says", has_text="reserved before the patch, Offline after it").wait_for()
    page.get_by_role("tab", name="Counters").click()
    assert page.get_by_text("needs plotly, 5 MB that this file does not carry").is_visible()
    assert page.get_by_role("button", name="Open as a chart").count() == 0
    question = page.locator(".memsim-lesson").first
    question.locator("input").first.check()
    question.locator(".memsim-do").click()
    question.get_by_role("button", name="Show me").click()
    moment = page.locator(".memsim-explore").evaluate("box => box.explorer.c.moment")
    assert (moment["step"], moment["point"]) == (0, "done")


def test_an_export_keeps_the_stored_form_of_what_was_changed_since(tmp_path, capsys):
    path = BOOK / "01-one-block-comes-online.ipynb"
    chapter = stored(path)
    (cell,) = [each for each in code_cells(chapter) if "explore(both" in source(each)]
    cell["outputs"][0]["data"]["text/html"] = "<p>another picture</p>"
    changed = tmp_path / path.name
    changed.write_text(json.dumps(chapter), encoding="utf-8")
    for folder in ("images", "questions", "scenarios"):
        shutil.copytree(BOOK / folder, tmp_path / folder)
    text = export(changed)
    assert "<p>another picture</p>" in text
    assert "memsimExplorer(" not in text
    assert "the stored output is not what the simulator shows" in capsys.readouterr().out


def test_what_keeps_a_reader_out_is_noticed(page):
    page.set_content("<html lang='en'><title>x</title><main><h1>x</h1><img src='x'><input></main></html>")
    assert {line.split(":")[0] for line in violations(page)} == {"critical image-alt", "critical label"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_plain_markdown_viewer_shows_the_text_twins(path):
    text, _ = MarkdownExporter().from_filename(str(path))
    assert text.count("Loading widget") == 0
    if path.name.startswith("01-"):
        assert "BEFORE the patch. Block 32" in text
        assert "Run this notebook to answer." in text

"""Every chapter in a real browser, as a reader sees it: opened, run, and used from the keyboard alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .notebook import SHOWN_WIDGET, STATIC, code_cells, stored, widget_cells, write_notebook

pytestmark = pytest.mark.browser

BOOK = Path(os.environ.get("MEMSIM_BOOK") or Path(__file__).parents[2] / "book")
ONE_BLOCK = BOOK / "01-one-block-comes-online.ipynb"
# One notebook for each widget, and the first page; the others are left to the slow tier.
ONE_OF_EACH = (
    "00-welcome",
    ONE_BLOCK.stem,
    "02-the-memmap",
    "05-the-buddy-allocator",
    "09-virtio-mem",
    "13-the-patch",
)

CONTROLS = (
    (".memsim-explore", "Home"),
    ("input[type=radio]", "Space"),
    ("input[type=checkbox]", "Space"),
    (".widget-slider .noUi-handle", "ArrowRight"),
    (".memsim-option input", "Space"),
    ("button:not([disabled])", "Enter"),
    ("input", "1"),
)


def chapters():
    """Return the notebooks that run something, most of them marked as slow."""
    running = [path for path in sorted(BOOK.glob("*.ipynb")) if code_cells(stored(path))]
    assert {path.stem for path in running} > set(ONE_OF_EACH)
    for path in running:
        marks = () if path.stem in ONE_OF_EACH else pytest.mark.slow
        yield pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.parametrize("path", list(chapters()))
def test_a_chapter(path, open_notebook):
    """Shows what is stored, then runs without an error, shows its widgets, and answers each prediction."""
    notebook = open_notebook(path)
    shows_what_is_stored(notebook, widget_cells(stored(path)))
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.unrun() == []
    assert notebook.widgets() >= widget_cells(stored(path))
    notebook.wait_for_widgets(notebook.widgets())
    if path == ONE_BLOCK:
        the_explorer_is_alive_and_a_question_leads_to_it(notebook.page)
    each_widget_heeds_the_keyboard(notebook)
    answers_each_prediction(notebook)


def each_widget_heeds_the_keyboard(notebook):
    """Use one control of each with a key, and see the widget change."""
    for number, widget in enumerate(notebook.page.locator(SHOWN_WIDGET).all()):
        control, key = first_control(widget)
        before = said_by(widget)
        if key == "Home" and "Moment 0 of" in before[0]:
            key = "End"
        notebook.focus(control)
        notebook.press(key)
        notebook.wait_until(
            lambda widget=widget: said_by(widget),
            lambda now, before=before: now != before,
            f"widget {number} does not heed {key}",
        )


def first_control(widget):
    """Return a control of a widget, and a key that must do something to it."""
    for selector, key in CONTROLS:
        controls = widget.locator(f"{selector} >> visible=true")
        if controls.count():
            return controls.first, key
    msg = f"no control in: {widget.text_content()[:200]}"
    raise AssertionError(msg)


def said_by(widget):
    """Return all that a widget says: its text, and what stands in its fields."""
    fields = widget.locator("input, select, [aria-valuenow]")
    return widget.text_content(), fields.evaluate_all(
        "all => all.map(one => [one.value, one.checked, one.getAttribute('aria-valuenow')])"
    )


def shows_what_is_stored(notebook, static):
    shown = notebook.page.locator(f".{STATIC} >> visible=true")
    notebook.wait_until(shown.count, lambda now: now == static, f"not all of {static} static forms are shown")
    assert notebook.errors() == []
    assert notebook.page.get_by_text("Loading widget").count() == 0


def answers_each_prediction(notebook):
    """Commit each with its first option, or a number, which does for words too: by keyboard alone."""
    for prediction in notebook.page.locator(".memsim-predict").all():
        control = prediction.locator("input").first
        notebook.focus(control)
        notebook.press(*(["Space"] if control.get_attribute("type") == "radio" else ["Control+a", "1"]))
        notebook.focus(prediction.locator(".memsim-do").first)
        notebook.press("Enter")
        prediction.locator(".memsim-outcome").wait_for()


def the_explorer_is_alive_and_a_question_leads_to_it(page):
    """After Run All, as a reader does it: the keys move it, and "Show me" goes to the moment and its page."""
    page.wait_for_function("document.querySelector('.memsim-explore')?.explorer")
    explorer = page.locator(".memsim-explore")
    explorer.press("Home")
    explorer.press("d")
    says = explorer.locator(".says")
    assert "reserved before the patch, Offline after it" in says.inner_text()
    question = page.locator(".memsim-quiz", has_text="What does the struct page of pfn 0x100001 say?")
    question.get_by_label("Nothing in particular").check()
    question.get_by_role("button", name="Check my answer").click()
    question.get_by_role("button", name="Show me").click()
    place = explorer.evaluate(
        "box => { const e = box.explorer; return [e.c.moment.step, e.c.moment.point, e.pfn]; }"
    )
    assert place == [1, "done", 0x100001]
    assert explorer.evaluate("box => box === document.activeElement")
    assert "Page 0x100001" in explorer.locator(".tab-page").inner_text()


def test_a_notebook_that_is_only_opened_stays_clean(open_notebook, page):
    """Whatever Python a reader has: else closing asks to save, and the next `git pull` conflicts."""
    notebook = open_notebook(BOOK / "00-welcome.ipynb")
    shows_what_is_stored(notebook, widget_cells(stored(BOOK / "00-welcome.ipynb")))
    page.wait_for_timeout(1000)  # for what JupyterLab would still write
    assert notebook.document()["metadata"] == stored(BOOK / "00-welcome.ipynb")["metadata"]
    assert page.evaluate("window.jupyterapp.shell.currentWidget.content.model.dirty") is False


def test_a_line_of_code_is_wrapped_and_not_cut_off(open_notebook, page, tmp_path):
    """The book's lines may have 110 columns, and a reader's window fewer: `make` sets JupyterLab so."""
    long_line = f"print('{'all of it ' * 30}')"
    notebook = open_notebook(write_notebook(tmp_path / "long" / "long.ipynb", long_line))
    editor = page.locator(".jp-CodeCell .cm-scroller >> visible=true")
    editor.wait_for()
    notebook.wait_until(
        lambda: editor.evaluate("editor => [editor.clientWidth, editor.scrollWidth]"),
        lambda widths: 0 < widths[1] <= widths[0],
        "the line is cut off",
    )

"""Every chapter in a real browser, as a reader sees it: opened, run, and used from the keyboard alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memsim import Scenario, compare
from memsim.view.explorer.inputs import recordings_of
from memsim.view.explorer.timeline import Walk

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

EXPLORER = ".memsim-explore"
SIDES = ("before", "after")
CONTROLS = (
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
    each_widget_heeds_the_keyboard(notebook)
    answers_each_prediction(notebook)


def each_widget_heeds_the_keyboard(notebook):
    """Use one control of each with a key, and see the widget change."""
    for number, widget in enumerate(notebook.page.locator(SHOWN_WIDGET).all()):
        control, key = first_control(widget)
        before = said_by(widget)
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
        options = prediction.locator("input[type=radio]")
        notebook.focus(prediction.locator("input").first)
        notebook.press(*(["Space"] if options.count() else ["Control+a", "1"]), "Enter")
        prediction.locator(".memsim-outcome").wait_for()


class Explorer:
    """The explorer of chapter 1, and what it must show, which the simulator says."""

    def __init__(self, notebook, page):
        self.notebook = notebook
        self.page = page
        comparison = compare(Scenario.load(BOOK / "scenarios" / "one-block.json"))
        self.walk = Walk(comparison, 32, recordings_of(comparison))

    def shown(self):
        """Return all that changes, each by itself: the pixels of both maps, and the text."""
        maps = self.page.locator(f"{EXPLORER} .pages").evaluate_all("all => all.map(one => one.toDataURL())")
        text = self.page.locator(f"{EXPLORER} .tab-text pre").text_content()
        return dict(zip(SIDES, maps, strict=True)) | {"twin": text}

    def press(self, key, moment):
        """Press a key, which leads to a moment, and return what is shown then."""
        self.page.locator(EXPLORER).focus()
        self.notebook.press(key)
        shown = self.shown()
        assert shown["twin"].startswith(self.walk.look(moment).heading)
        return shown


def test_the_explorer_of_chapter_1(open_notebook, page, screenshots):
    notebook = open_notebook(ONE_BLOCK)
    stands_there_without_a_kernel(page)
    page.screenshot(path=screenshots / "explorer-not-run.png")
    notebook.run_all()
    notebook.wait_for_widgets(notebook.widgets())
    box = page.locator(EXPLORER)
    notebook.wait_until(box.count, lambda found: found == 1, "there is no explorer")
    box.scroll_into_view_if_needed()
    box.locator("[data-tab=text]").click()
    explorer = Explorer(notebook, page)
    walks_through_the_moments(explorer)
    page.screenshot(path=screenshots / "explorer.png")
    goes_back_and_to_both_ends(explorer)


def stands_there_without_a_kernel(page):
    """The stored figure and its text twin, as in a notebook that nobody runs."""
    figure = page.locator("figure:has(img[alt^='Page map'])")
    for side in SIDES:
        image = figure.locator(f"img[alt^='Page map {side} the patch']")
        image.wait_for()
        image.scroll_into_view_if_needed()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    twin = figure.locator("pre")
    twin.wait_for(state="attached")
    assert "BEFORE the patch. Block 32" in twin.text_content()


def walks_through_the_moments(explorer):
    """Maps and text change where the simulator's state does, and the maps only there."""
    walk = explorer.walk
    # Past the end of memmap_init_range(), which marks the pages, and two chunks, which are counted and freed.
    last = walk.find(1, "enter:generic_online_page#3")
    before = explorer.press("Home", 0)
    changed = dict.fromkeys(before, 0)
    for moment in range(1, last + 1):
        now = explorer.press("Shift+ArrowRight", moment)
        old, new = walk.look(moment - 1), walk.look(moment)
        for was, side in zip(old.sides, new.sides, strict=True):
            if maps_differ(was, side):
                assert now[side.name] != before[side.name], f"moment {moment}"
            elif was.sentence == side.sentence:  # pageblocks that are isolated are drawn, too
                assert now[side.name] == before[side.name], f"moment {moment}"
        assert now["twin"] == new.twin(walk.zone_of_block())
        changed = {what: changed[what] + (now[what] != before[what]) for what in changed}
        before = now
    # The mark, the first chunk, the second: no picture can do with fewer.
    assert min(changed.values()) >= 3


def maps_differ(one, other):
    classes, heads = one.page_map.classes, one.page_map.heads
    return classes.tobytes() != other.page_map.classes.tobytes() or (
        heads.tobytes() != other.page_map.heads.tobytes()
    )


def goes_back_and_to_both_ends(explorer):
    last = len(explorer.walk.moments) - 1
    first = explorer.press("Home", 0)
    second = explorer.press("Shift+ArrowRight", 1)
    assert explorer.press("Shift+ArrowLeft", 0) == first
    assert explorer.press("Shift+ArrowRight", 1) == second
    explorer.press("End", last)
    explorer.press("ArrowRight", last)


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


def test_a_prediction_is_made_by_keyboard(open_notebook, page, screenshots):
    notebook = open_notebook(ONE_BLOCK)
    notebook.run_all()
    prediction = page.locator(".memsim-predict").first
    notebook.focus(prediction.locator("input").first)
    notebook.press("Space", "ArrowDown")
    assert prediction.locator("input:checked").get_attribute("value") == "32 chunks of 1,024 pages"
    assert prediction.locator(".memsim-outcome").count() == 0
    notebook.press("Tab", "Enter")
    prediction.locator(".memsim-outcome").wait_for()
    outcome = prediction.locator(".memsim-outcome").text_content()
    assert "You predicted: 32 chunks of 1,024 pages" in outcome
    # MAX_PAGE_ORDER is 10, so 1024 pages: 32768 / 1024 = 32 calls of generic_online_page().
    assert "The simulator says: 32 chunks of 1,024 pages" in outcome
    # The keyboard's focus stays where it was.
    assert page.locator(":focus").text_content() == "Predict again"
    page.screenshot(path=screenshots / "prediction.png")
    notebook.run_all()
    earlier = "On an earlier run you predicted: 32 chunks of 1,024 pages"
    prediction.get_by_text(earlier).wait_for()
    assert prediction.locator(".memsim-outcome").count() == 0

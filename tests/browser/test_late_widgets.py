"""Widgets that load too late for anywidget hear their kernel all the same."""

from __future__ import annotations

import pytest

from . import notebook
from .test_explorer import BOX, CELL, the_walk

pytestmark = pytest.mark.browser

LATE = """() => {
  const limit = (window.limitOfBefore = AbortSignal.timeout);
  const over = { addEventListener: (_, act) => ((window.late += 1), act()) };
  window.late = 0;
  AbortSignal.timeout = (ms) => (ms === 2000 ? over : limit.call(AbortSignal, ms));
}"""
"""The two seconds that anywidget gives a widget to load are over at once, as on a busy machine."""

DECODE = "from memsim.view.decode import decode_page; lab = decode_page('reserved'); lab"
BUDDY = "from memsim.view.buddy_lab.widget import buddy_lab; lab = buddy_lab(); lab"
MATRIX = "from memsim.view.half_patch.widget import half_patch; half_patch()"
PREDICT = (
    "from memsim.lesson import predict; predict('How many?', 'number', answer=1024, explain='Order 10.')"
)


@pytest.fixture
def late(run_cells, page, monkeypatch):
    """The widgets of this test load too late for anywidget, which may say so."""
    given_up = r"\[anywidget\] Failed to initialize model"
    monkeypatch.setattr(notebook, "ALLOWED", (*notebook.ALLOWED, (given_up, "that is what is tried here")))
    run_cells("None")  # so that JupyterLab is there
    page.evaluate(LATE)
    yield
    page.evaluate("AbortSignal.timeout = window.limitOfBefore")
    assert page.evaluate("window.late") > 0
    run_cells("None")  # so that nothing is left to complain about


@pytest.mark.usefixtures("late")
def test_the_explorer(run_cells, page):
    """Both ways of hearing: a value that Python changes, and the answer to a question of the widget's."""
    run_cells(CELL, "explorer.go(7)")
    page.wait_for_function(f"document.querySelector('{BOX}')?.explorer?.c.i === 7")
    explorer = f"document.querySelector('{BOX}').explorer"
    page.evaluate(f"{explorer}.go({the_walk().find(1, 'return:__free_pages_core')}), {explorer}.open('code')")
    page.locator(f"{BOX} .tab-code [data-hunk=PAGE_ALLOC]").press("Space")
    page.wait_for_function(f"{explorer}.off.join() === 'PAGE_ALLOC'")


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize(
    ("cells", "pressed", "keys", "heard"),
    [
        pytest.param(
            [DECODE, "lab.field.value = 'dirty'"], "", (), ".memsim-bits:has-text('PG_dirty')", id="bits"
        ),
        pytest.param(
            [DECODE, "lab.field.value = 'dirty'"], "", (), ".memsim-twin:has-text('PG_dirty')", id="text_twin"
        ),
        pytest.param(
            [BUDDY, "lab.act(lambda: lab.script.do('allocate 0 movable'))"],
            "",
            (),
            ".memsim-used",
            id="picture",
        ),
        pytest.param(
            [MATRIX],
            ".memsim-matrix [aria-pressed=true]",
            ["ArrowRight"],
            ".memsim-detail [data-failing]",
            id="matrix",
        ),
        pytest.param(
            [PREDICT],
            ".memsim-lesson input",
            ["5", "Enter"],
            ".memsim-feedback:has-text('1,024')",
            id="question",
        ),
    ],
)
def test_the_others(run_cells, page, cells, pressed, keys, heard):
    """Python changes something, or keys do that only the kernel answers; the widget shows it."""
    run_cells(*cells)
    if pressed:
        page.locator(pressed).focus()
    for key in keys:
        page.keyboard.press(key)
    page.locator(heard).first.wait_for(state="attached")

"""The matrix of hunks in a real browser, by keyboard alone."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser


def test_the_matrix_of_hunks(run_cells, page, screenshots):
    """Arrow keys go from cell to cell, and each opens its run; the switch changes all of them."""
    notebook = run_cells("from memsim.view.half_patch.widget import half_patch", "half_patch()")
    matrix = page.locator(".memsim-matrix")
    matrix.wait_for()
    assert matrix.get_by_text("Click a cell to see its run.").is_visible()  # what to do first
    opened = matrix.locator(".memsim-detail")
    pressed = matrix.locator("button[aria-pressed=true]")

    def says(text):
        notebook.wait_until(opened.inner_text, lambda now: text in now, f"the run does not say {text!r}")

    says("All but MM_INIT, virtio-mem: memory lost.")
    says("EBUSY")
    notebook.focus(pressed)
    notebook.press("ArrowRight")
    says("All but MM_INIT, Hyper-V: memory lost.")
    says("pfn:104e20")
    matrix.locator("[data-failing]").wait_for()
    assert page.locator(":focus").get_attribute("aria-label") == "M MM_INIT missing, Hyper-V: memory lost"
    notebook.press("Home", "ArrowDown")
    says("Only PAGE_ALLOC, DIMM: memory lost.")
    notebook.focus(matrix.locator("input[type=checkbox]"))
    notebook.press("Space")
    says("Only PAGE_ALLOC, DIMM: nothing wrong.")
    assert matrix.evaluate("box => box.clientHeight") <= 620
    page.screenshot(path=screenshots / "matrix.png")

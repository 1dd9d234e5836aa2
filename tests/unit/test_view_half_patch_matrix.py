"""Hunks by stories: the stored matrix is what the simulator does, and some cells must be what they are."""

from __future__ import annotations

from memsim.patch import Hunk
from memsim.view.half_patch.matrix import STORED, Effect, cells, document_of, matrix_chart, stored_cells
from memsim.view.half_patch.stories import STORIES


def cell(hunk, story, kind, *, check_pages):
    (found,) = [
        one
        for one in stored_cells()
        if (one.hunk, one.story, one.kind, one.check_pages) == (hunk, story, kind, check_pages)
    ]
    return found


def test_the_stored_matrix_is_what_the_simulator_does():
    renew = "python -m memsim.view.half_patch.matrix renews it"
    assert document_of(list(cells())) == STORED.read_text(encoding="utf-8"), renew


def test_every_hunk_is_tried_in_every_story_in_every_way():
    assert len(stored_cells()) == len(Hunk) * len(STORIES) * 2 * 2


def test_pages_that_stay_marked_are_refused_where_pages_are_checked_and_silent_where_not():
    """free_page_is_bad(), mm/page_alloc.c: a page with a type looks mapped."""
    unchecked = cell(Hunk.MM_INIT, "DIMM", "alone", check_pages=False)
    checked = cell(Hunk.MM_INIT, "DIMM", "alone", check_pages=True)
    assert (unchecked.effect, unchecked.pfn) == (Effect.SILENT, 0x100001)  # the head of a free block is Buddy
    assert checked.effect is Effect.LOST
    assert "32,768 pages" in checked.why
    assert "nonzero mapcount" in checked.why


def test_one_half_of_the_sum_leaves_managed_wrong():
    """__offline_isolated_pages() and virtio-mem each put managed right; one alone is off."""
    for hunk in (Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER):
        for kind in ("alone", "missing"):
            found = cell(hunk, "virtio-mem", kind, check_pages=True)
            assert found.effect is Effect.SILENT
            assert "managed" in found.why


def test_the_chart_has_a_row_for_each_hunk():
    chart = matrix_chart()
    assert list(chart.rows) == [hunk.name for hunk in Hunk]
    assert "MM_INIT: only this hunk, DIMM M" in chart.text

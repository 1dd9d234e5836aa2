"""Hunks by stories: the stored matrix is what the simulator does, and some cells must be what they are."""

from __future__ import annotations

import pytest

from memsim.patch import Hunk, Patch
from memsim.view.half_patch.matrix import (
    STORED,
    STORIES,
    Effect,
    cells,
    document_of,
    matrix_chart,
    stored_cells,
    story_scenario,
)
from memsim.view.half_patch.matrix_lab import detail_of, key_of, matrix_lab
from memsim.view.half_patch.widget import HalfPatch, half_patch

RENEW = "matrix.json is not up to date: python -m memsim.view.half_patch.matrix renews it"


def cell(hunk, story, kind, *, check_pages):
    (found,) = [
        one
        for one in stored_cells()
        if (one.hunk, one.story, one.kind, one.check_pages) == (hunk, story, kind, check_pages)
    ]
    return found


@pytest.mark.long
def test_the_stored_matrix_is_what_the_simulator_does():
    assert document_of(list(cells())) == STORED.read_text(encoding="utf-8"), RENEW


def test_every_hunk_is_tried_in_every_story_in_every_way():
    assert len(stored_cells()) == len(Hunk) * len(STORIES) * 2 * 2, RENEW


def test_pages_that_stay_marked_are_refused_where_pages_are_checked_and_silent_where_not():
    """free_page_is_bad(), mm/page_alloc.c: a page with a type looks mapped."""
    unchecked = cell(Hunk.MM_INIT, "DIMM", "alone", check_pages=False)
    checked = cell(Hunk.MM_INIT, "DIMM", "alone", check_pages=True)
    assert (unchecked.effect, unchecked.pfn) == (Effect.SILENT, 0x100001)  # the head of a free block is Buddy
    assert checked.effect is Effect.LOST
    assert "32,768 pages" in checked.why
    assert "nonzero mapcount" in checked.why


@pytest.mark.parametrize(("hunk", "kind"), [(Hunk.MM_INIT, "missing"), (Hunk.PAGE_ALLOC, "alone")])
def test_pages_that_leak_are_lost_where_their_block_should_have_gone(hunk, kind):
    """With the whole patch virtio-mem gives the block back, so no more pages are free than here."""
    found = cell(hunk, "virtio-mem", kind, check_pages=True)
    assert found.effect is Effect.LOST
    assert found.why.startswith("leaked:")


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
    assert "MM_INIT: only this hunk: DIMM M" in chart.text
    assert "· nothing wrong, L logged, S silently wrong, M memory lost." in chart.twin_html()


@pytest.mark.slow
def test_a_page_without_a_kernel_has_the_run_of_every_cell():
    spec = matrix_lab().spec_without_a_kernel()
    assert set(spec["details"]) == {key_of(one) for one in stored_cells()}
    assert "details" not in matrix_lab().spec()
    assert all(
        sum(count for _, count in side["runs"]) == 64 for d in spec["details"].values() for side in d["sides"]
    )


def test_a_cell_opens_on_the_failing_page():
    """Hyper-V backs 20,000 pages, then 5,000 more, of which 0x104e20 is the first, and is refused."""
    found = cell(Hunk.MM_INIT, "Hyper-V", "missing", check_pages=True)
    detail = detail_of(found)
    assert found.pfn == 0x104E20
    assert detail["failing"] == 20000 // 512
    assert any("pfn:104e20" in line for line in detail["log"])
    assert [side["name"] for side in detail["sides"]] == ["All but MM_INIT", "The whole patch"]


def test_the_code_beside_a_cell_runs_it():
    names = {"half_patch": half_patch, "story_scenario": story_scenario, "Hunk": Hunk, "Patch": Patch}
    found = cell(Hunk.PAGE_ALLOC, "self-hosted", "missing", check_pages=False)
    made = eval(detail_of(found)["code"], names)  # noqa: S307 (what a reader copies)
    assert isinstance(made, HalfPatch)
    assert made.result.half.patch == found.patch


def test_half_patch_without_a_scenario_is_the_matrix():
    bundle = half_patch()._repr_mimebundle_()
    assert "MM_INIT: only this hunk: DIMM M" in bundle["text/plain"]
    assert "data:image/svg+xml" in bundle["text/html"]
    assert "All but MM_INIT" in bundle["text/html"]
    assert matrix_chart().html() not in bundle["text/html"], "the chapter begins with it"

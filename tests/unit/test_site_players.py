"""What stands on the web site in the place of an explorer, whatever a reader did to the notebook before."""

from __future__ import annotations

import json

import pytest

from book.site.build import write_page
from memsim import Patch
from memsim.view.explorer.explorer import explore
from memsim.view.explorer.export import acting
from memsim.view.lab import WIDGET_VIEW
from tests.book.reading import code

SCENARIO = {
    "format": "memsim-scenario/1",
    "machine": {"ram": [[0, 131072]], "block_pages": 32768},
    "steps": [{"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 32768}],
}
CALL = f"from memsim.view.explorer.explorer import explore\nexplore({SCENARIO!r})"


@pytest.fixture(scope="module")
def explorer():
    return explore(SCENARIO)


def page_of(tmp_path, data):
    """Return the page's source of a notebook whose explorer has this output, and the folder of its data."""
    path, folder = tmp_path / "98-a-chapter.ipynb", tmp_path / "sources"
    (folder / "static" / "explorers").mkdir(parents=True)
    notebook = {"cells": [code(CALL, 1, data)], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook["cells"][0]["id"] = "explore"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    write_page(path, folder, set(), {})
    return (folder / path.name).read_text(encoding="utf-8"), folder / "static" / "explorers"


def test_a_chapter_that_was_read_in_jupyterlab_keeps_its_player(tmp_path, explorer):
    """JupyterLab saves the view of a widget beside the stored forms."""
    stored = {"text/html": explorer.stored_html, "text/plain": explorer.stored_text}
    page, data = page_of(tmp_path, stored | {WIDGET_VIEW: {"model_id": "gone"}})
    assert "data-explorer=" in page
    assert WIDGET_VIEW not in page
    acts = [hunk.name for hunk in acting(explorer.walk)]
    names = {"98-a-chapter--explore", *(f"98-a-chapter--explore--without-{name}" for name in acts)}
    assert {path.stem for path in data.iterdir()} == names


def test_a_chapter_whose_stored_form_is_gone_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"98-a-chapter--explore: the stored output .*`make book` brings it back"
    ):
        page_of(tmp_path, {"text/plain": "x", WIDGET_VIEW: {"model_id": "gone"}})


def test_a_walk_without_a_hunk_is_the_walk_of_that_kernel(explorer):
    """Only the second kernel runs again, with the steps and checks of the first time."""
    whole = explorer.walk.comparison.after.machine.kernel
    for hunk in acting(explorer.walk):
        walk = explorer.walk.without(Patch({hunk}))
        kernel = walk.comparison.after.machine.kernel
        assert kernel.patch == whole.patch - Patch({hunk})
        assert (kernel.release, kernel.check_pages, kernel.debug_vm) == (
            whole.release,
            whole.check_pages,
            whole.debug_vm,
        )
        assert walk.comparison.before is explorer.walk.comparison.before
        assert walk.block == explorer.walk.block

"""make bump tells which packages changed, and which outputs with them, so that a person can judge."""

from __future__ import annotations

import json

from tests.tools.output_changes import notebook_changes, version_changes


def notebook(**cells):
    """Return a notebook of code cells, each given by its id and its outputs."""
    made = [
        {"cell_type": "code", "id": name, "source": "", "outputs": outputs} for name, outputs in cells.items()
    ]
    return json.dumps({"cells": [{"cell_type": "markdown", "id": "title", "source": "# A"}, *made]})


def printed(*lines):
    return {"output_type": "stream", "name": "stdout", "text": list(lines)}


def shown(**bundle):
    return {
        "output_type": "display_data",
        "data": {name.replace("_", "/"): text for name, text in bundle.items()},
    }


def test_the_same_outputs_are_no_change():
    same = notebook(a=[printed("1\n"), shown(text_html="<b>1</b>")])

    assert notebook_changes(same, same) == []


def test_changed_text_is_shown_line_by_line_with_its_cell():
    before, after = notebook(a=[printed("1\n", "2\n")], b=[]), notebook(a=[printed("1\n", "3\n")], b=[])

    assert notebook_changes(before, after) == ["  cell a, stdout:", "    -2", "    +3"]


def test_of_other_kinds_the_size_is_shown():
    before, after = notebook(a=[shown(text_html="<b>1</b>")]), notebook(a=[shown(text_html="<b>12</b>")])

    assert notebook_changes(before, after) == ["  cell a, text/html: 8 characters -> 9"]


def test_outputs_and_cells_that_come_and_go_are_told():
    before = notebook(a=[shown(text_plain="x", text_html="x")], gone=[])
    after = notebook(a=[shown(text_plain="x", image_png="x")], come=[])

    assert notebook_changes(before, after) == [
        "  cell gone: is gone",
        "  cell a, image/png: is new",
        "  cell a, text/html: is gone",
        "  cell come: is new",
    ]


def test_an_error_is_an_output():
    error = {"output_type": "error", "ename": "KeyError", "evalue": "7", "traceback": []}

    assert notebook_changes(notebook(a=[]), notebook(a=[error])) == ["  cell a, error: is new"]


def test_much_text_is_cut_and_says_so():
    long = notebook(a=[printed(*(f"{n}\n" for n in range(100)))])

    lines = notebook_changes(notebook(a=[printed("")]), long)
    assert len(lines) == 14
    assert lines[-1] == "    ... and 88 lines more"


def test_versions_that_changed_came_or_went():
    before = "numpy==2.4.6 \\\n    --hash=sha256:1\nold==1\nsame==3 ; python_version < '3'\n"
    after = "numpy==2.5.0 \\\n    --hash=sha256:2\nnew==2\nsame==3 ; python_version < '3'\n"

    assert version_changes(before, after) == [
        "  new (new) -> 2",
        "  numpy 2.4.6 -> 2.5.0",
        "  old 1 -> (gone)",
    ]

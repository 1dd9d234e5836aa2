"""The stored notebooks: executed in order, the same every time, small, and readable by everybody.

Each rule is tried on a broken notebook as well, for a rule that cannot fail checks nothing. nbval compares
the outputs; without execution counts it would compare none.
"""

from __future__ import annotations

import copy
import json
import re
from itertools import pairwise
from typing import Any

import pytest

from memsim.lesson.kernel import Kernel
from tests.tools.notebooks import LANGUAGE

from .reading import NOTEBOOKS, Images, cells, code, headings, joined, markdown, outputs, put, tags

LIMIT = 1_000_000
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
TIMES = {"execution", "ExecuteTime"}
ESCAPES = {"nbval-skip", "nbval-ignore-output", "nbval_skip", "nbval_ignore_output"}
ESCAPE_COMMENT = re.compile(r"#\s*(NBVAL_SKIP|NBVAL_IGNORE_OUTPUT|PYTEST_VALIDATE_IGNORE_OUTPUT)")
# nbval compares neither; an SVG, or a picture inside HTML, is compared.
UNCOMPARED = {"image/png", "image/jpeg"}
# Widget views are not stored, and nbval leaves them out. Nothing else may be left out; whatever is one
# day, stands here with its reason: (notebook, id of the cell, how) -> why.
EXCLUDED: dict[tuple[str, str, str], str] = {}
FIGURES = ("image/", "application/vnd.plotly", "application/vnd.vega")
OBJECT = re.compile(r"<.* object at|<Figure|[A-Z]\w*\(children=|Figure(Widget)?\(")
TWIN_WORDS = 8
MARKDOWN_IMAGE = re.compile(r"!\[([^\]]*)\]\(")


# ---- the rules: each yields what is wrong --------------------------------------------------------------


def is_executed_in_order(notebook):
    code = [cell for cell in cells(notebook, "code") if joined(cell["source"]).strip()]
    counts = [cell["execution_count"] for cell in code]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}, must be 1 to {len(counts)}: run `make book`"


def ends_without_an_error(notebook):
    for cell in cells(notebook, "code"):
        for output in cell["outputs"]:
            if output["output_type"] == "error" and "raises-exception" not in tags(cell):
                yield f"a stored error: {output['ename']}: {output['evalue']}"


def keeps_no_widget_state(notebook):
    if "widgets" in notebook["metadata"]:
        yield "widget state is stored in the metadata"
    for output in outputs(notebook):
        if any(WIDGET_VIEW in output.get(part, {}) for part in ("data", "metadata")):
            yield "a widget view is stored: the number of a widget that is gone"


def keeps_no_times(notebook):
    for part in (notebook, *notebook["cells"]):
        for key in TIMES & set(part["metadata"]):
            yield f"times of execution are stored under {key!r}"


def names_its_language_as_jupyterlab_does(notebook):
    """JupyterLab stores what the kernel says; then a notebook that is only opened asks to be saved."""
    stored = notebook["metadata"].get("language_info", {})
    wrong = {name for name, value in Kernel.language_info.items() if stored.get(name) != value}
    if wrong | set(stored) - set(Kernel.language_info):
        yield f"language_info is not the kernel's ({', '.join(sorted(wrong))}): run `make book`"


def is_small(notebook):
    size = len(json.dumps(notebook, indent=1, ensure_ascii=False).encode())
    if size >= LIMIT:
        yield f"has {size} bytes, must be under {LIMIT}"


def has_one_title(notebook):
    levels = [level for level, _ in headings(notebook)]
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"headings have the levels {levels}: one of level 1 must come first, and no other"


def skips_no_level(notebook):
    levels = [level for level, _ in headings(notebook)]
    for above, below in pairwise(levels):
        if below > above + 1:
            yield f"a heading of level {below} follows one of level {above}"


def tells_what_images_show(notebook):
    for output in outputs(notebook):
        for mime in output.get("data", {}):
            if mime.startswith("image/") and not output["metadata"].get(mime, {}).get("alt", "").strip():
                yield f"an output {mime} has no alt text in its metadata"
        for image in Images(joined(output.get("data", {}).get("text/html", ""))).silent:
            yield f"an image in an output has no alt text: {image}"
    for cell in cells(notebook, "markdown"):
        text = joined(cell["source"])
        silent = Images(text).silent + [alt for alt in MARKDOWN_IMAGE.findall(text) if not alt.strip()]
        if silent:
            yield f"an image in the prose has no alt text: {text[:80]}"


def says_in_words_what_it_shows(notebook):
    """A figure's text twin is what remains of it where no HTML is shown, and for those who cannot see it."""
    for output in outputs(notebook):
        data = output.get("data", {})
        twin = joined(data.get("text/plain", ""))
        if OBJECT.match(twin):
            yield f"an output shows the name of an object in place of its text: {twin[:60]}"
        elif is_figure(data) and len(twin.split()) < TWIN_WORDS:
            yield f"a figure has no text twin, only {twin[:60]!r}"


def is_figure(data):
    return any(mime.startswith(FIGURES) for mime in data) or Images(joined(data.get("text/html", ""))).found


def lets_everything_be_compared(notebook):
    for number, how in escapes(notebook):
        yield f"cell {number} escapes comparison by {how}"


def escapes(notebook):
    """Return (number or id of the cell, how) for everything that nbval would not compare."""
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        name = cell.get("id", number)
        yield from ((name, f"its tag {tag!r}") for tag in sorted(ESCAPES & tags(cell)))
        if ESCAPE_COMMENT.search(joined(cell["source"])):
            yield name, "a comment"
        mimes = {mime for output in cell["outputs"] for mime in output.get("data", {})}
        yield from ((name, f"an output of type {mime}") for mime in sorted(UNCOMPARED & mimes))


RULES = (
    is_executed_in_order,
    ends_without_an_error,
    keeps_no_widget_state,
    keeps_no_times,
    names_its_language_as_jupyterlab_does,
    is_small,
    has_one_title,
    skips_no_level,
    tells_what_images_show,
    says_in_words_what_it_shows,
    lets_everything_be_compared,
)


# ---- the book ------------------------------------------------------------------------------------------


def test_there_is_a_book():
    assert NOTEBOOKS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook(path, rule):
    assert list(rule(json.loads(path.read_text(encoding="utf-8")))) == []


def test_what_is_not_compared_is_named_with_its_reason():
    found = {
        (path.stem, cell, how)
        for path in NOTEBOOKS
        for cell, how in escapes(json.loads(path.read_text(encoding="utf-8")))
    }
    assert found == set(EXCLUDED)
    assert all(EXCLUDED.values())


# ---- the rules themselves --------------------------------------------------------------------------------


TWIN = "Block 32: 32768 pages are reserved, with refcount 1."
GOOD: dict[str, Any] = {
    "cells": [
        markdown(["# One title\n", "```sh\n", "# no heading\n", "```\n"]),
        markdown("## Two\n### Three\n![a map](map.png) <img src='x' alt='another map'>"),
        code("figure", 1, {"text/html": ["<img src='x'\n", " alt='reserved'>"], "text/plain": TWIN}),
        markdown("## Back to two"),
        code(
            "picture",
            2,
            ({"image/svg+xml": "<svg/>", "text/plain": TWIN}, {"image/svg+xml": {"alt": "free"}}),
        ),
        code("  \n", None),
    ],
    "metadata": {"kernelspec": {}, "language_info": LANGUAGE},
    "nbformat": 4,
    "nbformat_minor": 5,
}
FIGURE, PICTURE = 2, 4


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_passes(rule):
    assert list(rule(GOOD)) == []


def in_cell(number, value, *place):
    return put(value, "cells", number, *place)


def in_output(number, value, *place):
    return put(value, "cells", number, "outputs", 0, *place)


BREAKS = {
    "never run": (is_executed_in_order, in_cell(FIGURE, None, "execution_count")),
    "run out of order": (is_executed_in_order, in_cell(FIGURE, 3, "execution_count")),
    "run in an old kernel": (is_executed_in_order, in_cell(PICTURE, 17, "execution_count")),
    "an error": (
        ends_without_an_error,
        put([{"output_type": "error", "ename": "E", "evalue": "x"}], "cells", FIGURE, "outputs"),
    ),
    "widget state": (keeps_no_widget_state, put({}, "metadata", "widgets")),
    "a widget view": (keeps_no_widget_state, in_output(FIGURE, {}, "data", WIDGET_VIEW)),
    "a widget view's metadata": (keeps_no_widget_state, in_output(FIGURE, {}, "metadata", WIDGET_VIEW)),
    "JupyterLab's times": (keeps_no_times, in_cell(FIGURE, {}, "metadata", "execution")),
    "an extension's times": (keeps_no_times, in_cell(FIGURE, {}, "metadata", "ExecuteTime")),
    "a language that is half told": (
        names_its_language_as_jupyterlab_does,
        put({"name": "python"}, "metadata", "language_info"),
    ),
    "a megabyte": (is_small, in_output(FIGURE, "x " * LIMIT, "data", "text/plain")),
    "no title": (has_one_title, in_cell(0, "Text", "source")),
    "two titles": (has_one_title, in_cell(3, "# Another", "source")),
    "a late title": (has_one_title, in_cell(0, "## Early\n# Title", "source")),
    "a skipped level": (skips_no_level, in_cell(3, "## Two\n#### Four", "source")),
    "HTML without alt": (tells_what_images_show, in_output(FIGURE, "<img src='x'>", "data", "text/html")),
    "an empty alt": (tells_what_images_show, in_output(FIGURE, "<IMG alt=''>", "data", "text/html")),
    "a picture without alt": (tells_what_images_show, in_output(PICTURE, {}, "metadata")),
    "a figure without a twin": (
        says_in_words_what_it_shows,
        in_output(FIGURE, "a map", "data", "text/plain"),
    ),
    "a picture without a twin": (says_in_words_what_it_shows, in_output(PICTURE, "", "data", "text/plain")),
    "the name of a widget": (
        says_in_words_what_it_shows,
        in_output(
            FIGURE, "VBox(children=(HTML(value='x'), HTML(value='a b c d e f g h')))", "data", "text/plain"
        ),
    ),
    "prose without alt": (tells_what_images_show, in_cell(3, "![](map.png)", "source")),
    "HTML prose without alt": (tells_what_images_show, in_cell(3, "<img src=x>", "source")),
    "a skipped cell": (
        lets_everything_be_compared,
        in_cell(FIGURE, ["x", "nbval-skip"], "metadata", "tags"),
    ),
    "an ignored output": (
        lets_everything_be_compared,
        in_cell(FIGURE, ["nbval-ignore-output"], "metadata", "tags"),
    ),
    "a bitmap": (
        lets_everything_be_compared,
        put(
            {
                "output_type": "display_data",
                "data": {"image/png": "AA==", "text/plain": TWIN},
                "metadata": {"image/png": {"alt": "free"}},
            },
            "cells",
            PICTURE,
            "outputs",
            0,
        ),
    ),
    "an ignoring comment": (
        lets_everything_be_compared,
        in_cell(FIGURE, "# NBVAL_IGNORE_OUTPUT\n1", "source"),
    ),
}


@pytest.mark.parametrize(("rule", "break_it"), BREAKS.values(), ids=BREAKS)
def test_a_broken_notebook_fails_its_rule_and_no_other(rule, break_it):
    broken = copy.deepcopy(GOOD)
    break_it(broken)
    assert {each.__name__ for each in RULES if list(each(broken))} == {rule.__name__}


def test_each_rule_has_been_broken():
    assert {rule for rule, _ in BREAKS.values()} == set(RULES)

"""Charts: the text twin, the picture and plotly's figure say the same, and are the same every time."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import plotly.graph_objects as go
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from memsim import AFTER, BEFORE, Machine, Scenario, compare
from memsim.view.charts import (
    LEVELS,
    Bars,
    Chain,
    Line,
    Lines,
    Range,
    Ranges,
    Signs,
    State,
    class_ranges,
    counters_by_step,
    counters_over,
    pages_that_differ,
    points_of,
)
from memsim.view.charts.chart import NARROW, PLOTLY, WIDTH, apart, inked
from tests.book.reading import BOOK

LINES = Lines(
    "Two <counters>",
    ("boot", "one", "two", "three"),
    (Line("managed", (0, 0, 1024, 1024)), Line("free", (5, 5, 5, 5), "dot")),
    marks=(2,),
)
CHARTS = [
    LINES,
    Bars("Bars", ("a & b", "c"), {"before": (1, 2000), "after": (0, 3)}, unit="blocks"),
    Ranges("Axis", {"zone": (Range(0, 4096, "DMA"),)}, ticks=(0, 0x1000, 0x9000), cut=(0x1000, 0x8000)),
    Signs("Signs", ("x", "y"), {"row": (("good", "good"), ("-", "none"))}, groups=("g", "h")),
    Chain("Chain", (State("born", ("R/1",)), State("free", ("n/0", "B10"), by="free()"))),
]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.title)
def test_every_chart_has_three_forms_that_need_nothing(chart):
    svg = chart.svg()
    ET.fromstring(svg)  # noqa: S314 (our own picture)
    assert svg == chart.svg()
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg\")|<script", svg)
    assert chart.text.splitlines()[0] == chart.title
    assert len(chart.text.split()) >= 6
    assert "<img alt=" in chart.html()
    assert "prefers-color-scheme: dark" in svg


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.title)
def test_a_phone_gets_a_drawing_of_its_own(chart):
    """The page gives the picture this shape, and the picture shows the drawing that has it."""
    height, parts = chart.drawing(NARROW)
    assert f"--narrow: {NARROW}/{height:g}" in chart.html()  # these titles have one line
    assert "".join(parts) in chart.svg()
    assert wide(chart) in chart.svg()


def test_names_of_an_axis_stand_apart_and_inside():
    places = apart((0, 20, 30, 300, 359), ("0x100000",) * 5, 360)
    half = 8 * 7.1 * 0.92 / 2
    assert all(half <= middle <= 360 - half for middle, _ in places)
    for line in {line for _, line in places}:
        middles = [middle for middle, at in places if at == line]
        assert all(right - left >= 2 * half for left, right in pairwise(middles))


def test_bars_fit_on_one_screen_in_jupyterlab():
    """A cell at 1366x768 shows 646 pixels, of which a title and a paragraph take 220."""
    orders = tuple(f"order {order}" for order in range(11))
    assert Bars("Orders", orders, {"a": tuple(range(11)), "b": (1,) * 11}).plotly()["layout"]["height"] <= 426


@pytest.mark.parametrize("chart", CHARTS[:2], ids=lambda chart: chart.title)
def test_plotly_accepts_its_figure(chart):
    """Unknown properties are refused; what it would write is what we write."""
    figure = chart.plotly()
    assert go.Figure(figure["data"], figure["layout"]).to_plotly_json()["data"] == figure["data"]


@pytest.mark.parametrize("chart", CHARTS[:2], ids=lambda chart: chart.title)
def test_no_toolbar_lies_over_the_title_of_a_figure(chart):
    assert chart.plotly()["config"] == {"displayModeBar": False}


def test_an_axis_without_named_points_has_numbers():
    """And says what its ends are, in all forms."""
    plain = replace(LINES, marks=())
    axis = plain.plotly()["layout"]["xaxis"]
    assert (list(axis["tickvals"]), axis["title"]["text"]) == ([0, 1, 2, 3], inked("0: boot … 3: three"))
    assert "showticklabels" not in axis
    for width in (WIDTH, NARROW):
        drawn = "".join(plain.drawing(width)[1])
        assert re.findall(r'"soft mid">(\d)</text>', drawn) == ["0", "1", "2", "3"]
        assert ">0: boot<" in drawn
        assert ">3: three<" in drawn


def test_a_line_is_told_by_its_changes():
    assert LINES.lines() == [
        "managed: 0 pages at first, 1,024 from two on.",
        "free: 5 pages all the time.",
    ]
    many = Lines("Many", tuple(map(str, range(9))), (Line("n", tuple(range(9))),))
    assert many.lines() == [
        "n: 0 pages at first; 8 changes, the first at 1, the last at 8; lowest 0, highest 8; in the end 8."
    ]


def test_bars_are_told_with_their_names_in_brackets():
    assert CHARTS[1].lines() == [
        "a & b: 1 block (before), 0 blocks (after).",
        "c: 2,000 blocks (before), 3 blocks (after).",
    ]


def test_a_table_names_a_group_of_columns_once():
    cells = (("M", "bad"), ("-", "none"))
    assert Signs("t", ("x", "y"), {"row": cells}).lines() == ["row: x M, y -."]
    assert Signs("t", ("x", "y"), {"row": cells}, groups=("g", "h")).lines() == ["row: g: x M; h: y -."]


def test_a_table_says_in_both_forms_what_its_signs_mean():
    chart = Signs("t", ("x",), {"row": (("M", "bad"),)}, key="M memory lost")
    assert chart.lines() == ["M memory lost.", "row: x M."]
    assert "t: M memory lost" in chart.svg()


def test_a_state_of_a_chain_is_told_as_a_sentence():
    states = (State("asked", ("what does it", "rest on?")), State("done", ("it is", "over"), by="f()"))
    assert Chain("t", states).lines() == ["1. asked: what does it rest on?", "2. done, by f(): it is over."]


def test_plotly_gets_only_the_points_at_which_something_changes():
    managed, free = LINES.plotly()["data"]
    assert (managed["x"], managed["y"]) == ([0, 2, 3], [0, 1024, 1024])
    assert (free["x"], free["y"]) == ([0, 3], [5, 5])


def test_each_line_is_told_apart_by_more_than_its_colour():
    assert 'stroke-dasharray="2 4"' in LINES.svg()
    assert {level for level, (colour, _) in LEVELS.items() if not colour} == {"none"}


def wide(chart):
    """Return what a chart draws where there is room."""
    return "".join(chart.drawing(WIDTH)[1])


def test_a_range_is_drawn_where_its_pfns_are():
    """The axis from 0 to 0x9000 has 0x2000 pages without the hole, which gets a twelfth of it."""
    (x,) = re.findall(r'<rect x="([\d.]+)" y="46"', wide(CHARTS[2]))
    axis = Ranges("Axis", {"a": (Range(0, 8, "x"), Range(8, 16, "y"))}, ticks=(0, 16))
    box = r'<rect x="([\d.]+)" y="46" width="[\d.]+" height="22" rx="2" fill'
    starts = [float(at) for at in re.findall(box, wide(axis))]
    end = 740.0
    assert starts[1] - starts[0] == pytest.approx((end - starts[0]) / 2, abs=0.1)
    assert float(x) == pytest.approx(starts[0], abs=40)


def test_a_range_too_narrow_for_its_label_is_explained_below_the_axis():
    """Once; not where the label stands in another range, or in the name of the row."""
    rows = {
        "before": (
            Range(0, 4, "holds its own memmap", "#F0E442"),
            Range(4, 60, "free"),
            Range(60, 62, "free"),
        ),
        "after": (Range(0, 4, "holds its own memmap", "#F0E442"),),
        "zone DMA": (Range(0, 1, "DMA"),),
        "order 0": (Range(8, 9, "A"),),
    }
    axis = Ranges("Axis", rows, ticks=(0, 64))
    for width in (WIDTH, NARROW):
        height, parts = axis.drawing(width)
        assert sum(">holds its own memmap<" in part for part in parts) == 1
        assert sum('fill="#F0E442"' in part for part in parts) == 3
        assert not any(">DMA<" in part or ">A<" in part for part in parts)
        plain = Ranges("Axis", {"before": rows["before"][1:]}, ticks=(0, 64))
        assert height > plain.drawing(width)[0]


def test_a_notebook_stores_picture_figure_and_twin():
    InteractiveShell.instance()
    with capture_output() as shown:
        LINES._ipython_display_()
    chart, twin = shown.outputs
    assert chart.data["text/plain"] == LINES.text
    assert chart.data["text/html"] == LINES.html()
    assert chart.data[PLOTLY] == LINES.plotly()
    assert "1,024 from two on" in twin.data["text/html"]
    assert "<summary>The same in text</summary>" in twin.data["text/html"]


# ---- taken from the simulator --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both():
    return compare(Scenario.load(BOOK / "scenarios" / "one-block.json"))


def test_counters_are_read_at_every_moment_and_told_apart_where_kernels_differ(both):
    moments = [moment for moment in both.moments if moment.step == 1]
    present, total_before, total_after = counters_over(
        both,
        moments,
        {
            "present": lambda state: state.zones[3].present_pages,
            "MemTotal": lambda state: state.totalram_pages - 131072,
        },
    )
    assert (total_before.dash, total_after.dash, present.name) == ("dot", "solid", "present")
    # After the series __free_pages_core() counts MemTotal itself; before it the caller did, when it returned.
    at = next(i for i, moment in enumerate(moments) if moment.point == "return:__free_pages_core#3")
    assert (total_before.values[at], total_after.values[at], present.values[at]) == (2048, 3072, 0)
    assert points_of(moments)[at] == "__free_pages_core(), call 3"


def test_pages_differ_from_the_birth_of_the_block_to_its_last_chunk(both):
    line = pages_that_differ(both, both.moments, 0x100000, 32768)
    assert (line.values[0], max(line.values), line.values[-1]) == (0, 32768, 0)


def test_counters_by_step_are_those_at_the_ends_of_steps():
    scenario = Scenario.load(BOOK / "scenarios" / "one-block.json")
    names, (line,) = counters_by_step(scenario, {"managed": lambda state: state.zones[3].managed_pages})
    assert line.values == (0, 0, 32768)
    assert names[0] == "boot"
    assert "online block 32" in names[2]


@pytest.mark.parametrize(
    ("patch", "label"), [(BEFORE, "reserved"), (AFTER, "Offline")], ids=["before", "after"]
)
def test_runs_of_a_class_become_ranges(patch, label):
    machine = Machine(patch=patch)
    machine.add_memory(0x100000, 32768)
    tape = machine.record()
    tape.action("online")
    machine.online(32, "online_movable")
    ranges = class_ranges(tape.at(tape.find(0, "enter:generic_online_page#3")), 0x100000, 32768)
    assert [(each.start - 0x100000, each.end - 0x100000, each.label) for each in ranges] == [
        (0, 2048, "free"),
        (2048, 32768, label),
    ]


@pytest.mark.parametrize(("length", "squeezed"), [(60, False), (100, True)])
def test_a_long_title_ends_inside_the_picture(length, squeezed):
    svg = Bars("x" * length, ("a",), {"": (1,)}).svg()
    assert ('textLength="728"' in svg) is squeezed

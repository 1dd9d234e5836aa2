"""The patch, hunk by hunk: what is shown is what runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import memsim
from memsim import AFTER, Hunk, MemsimError, Patch, Scenario, run
from memsim.cli import main
from memsim.source.hunks import decided, hunk_changes
from memsim.source.listings import listings
from memsim.source.models import find_model
from memsim.source.pseudo_c import pseudo_c
from memsim.state.trace import FUNCTIONS
from memsim.view.patch import overview_lines, patch_lines

ROOT = Path(memsim.__file__).parents[1]
SCENARIOS = sorted((ROOT / "book" / "scenarios").glob("*.json"))


@pytest.mark.parametrize("hunk", Hunk)
def test_hunk_changes__every_hunk_changes_something_and_no_question_is_left(hunk):
    changes = hunk_changes(hunk)
    assert changes
    for change in changes:
        assert any(row.changed for row in change.rows)
        for patch in (AFTER, AFTER - {hunk}, Patch()):
            text = "\n".join(decided(change.listing, patch))
            compile(text, change.listing.file, "exec")
            assert "Hunk" not in text


def test_hunk_changes__show_every_place_where_a_model_asks_for_a_hunk():
    asked = {
        (path.relative_to(ROOT).as_posix(), hunk)
        for path in (ROOT / "memsim" / "linux").rglob("*.py")
        for hunk in re.findall(r"has\(Hunk\.(\w+)\)", path.read_text(encoding="utf-8"))
    }
    shown = {(change.listing.file, hunk.name) for hunk in Hunk for change in hunk_changes(hunk)}
    assert asked == shown


def function_of(change):
    """Return the function object whose source a change shows."""
    model = FUNCTIONS[change.function]
    return model if change.listing.name == change.function else model.__globals__[change.listing.name]


def outcome(result):
    """Return everything of a run's final state that the patch can change."""
    state = result.machine.kernel.state
    arrays = [
        np.concatenate([getattr(section.pages, name) for section in state.memmap.sections.values()]).tobytes()
        for name in ("flags", "type", "order", "refcount")
    ]
    zones = [repr(zone) for zone in state.zones]
    return arrays, zones, state.totalram_pages, state.log, result.died, [o.errno for o in result.outcomes]


@pytest.mark.long
@pytest.mark.parametrize("hunk", Hunk)
def test_decided__the_lines_that_are_shown_do_what_the_kernel_without_the_hunk_does(hunk, monkeypatch):
    """Run the shown lines in place of the model, on a kernel that has every hunk."""
    scenarios = [Scenario.load(path) for path in SCENARIOS]
    wanted = [outcome(run(each, AFTER - {hunk}, record=True)) for each in scenarios]
    for change in hunk_changes(hunk):
        function = function_of(change)
        namespace = dict(function.__globals__)
        text = "from __future__ import annotations\n" + "\n".join(decided(change.listing, AFTER - {hunk}))
        exec(text, namespace)  # noqa: S102 (our own code)
        monkeypatch.setattr(function, "__code__", namespace[function.__name__].__code__)
    assert [outcome(run(each, AFTER, record=True)) for each in scenarios] == wanted


def test_decided__elif_and_conditional_expressions():
    lines = (
        "def f(kernel, a):",
        "    if a:",
        "        x = 1",
        "    elif kernel.has(Hunk.MM_INIT):",
        "        x = 2",
        "    else:",
        "        x = 3",
        "    y = 1 if not kernel.has(Hunk.PAGE_ALLOC) else 2",
        "    return x, y, kernel.has(Hunk.MM_INIT) and a",
    )
    listing = dataclasses.replace(listings("__free_pages_core")[0], lines=lines)
    expected = {
        Patch("after"): {0: (2, 2, 0), 1: (1, 2, 1)},
        Patch("before"): {0: (3, 1, False), 1: (1, 1, False)},
    }
    for patch, values in expected.items():
        namespace = {}
        exec("\n".join(decided(listing, patch)), namespace)  # noqa: S102 (our own code)
        assert {a: namespace["f"](None, a) for a in (0, 1)} == values


@pytest.mark.parametrize("width", [60, 80, 140])
def test_patch_lines__fit_the_terminal(width):
    """Only names of files and functions may be too long: they are not broken."""
    shown = [*patch_lines(list(Hunk), width), *overview_lines(width)]
    long = [line for line in shown if len(line) > width]
    assert [line for line in long if not re.search(r"\w\.c:|our model, |\w+\(\)", line)] == []
    assert width < 140 or not long


def test_patch_lines__show_pseudo_c_before_the_model():
    lines = [line.strip() for line in patch_lines([Hunk.MEMORY_HOTPLUG], 80)]
    places = [
        lines.index(line)
        for line in (
            "mm/memory_hotplug.c: mhp_init_memmap_on_memory()",
            "+         clear type Offline of page;",
            "our model, memsim/linux/mm/memory_hotplug/online.py:163",
            "+     kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)",
        )
    ]
    assert places == sorted(places)
    assert not any(" | " in line for line in lines)


def is_of_the_kernel(name):
    """Return whether a function has a model, or a reason why it has none."""
    try:
        return bool(find_model(name))
    except MemsimError as error:
        return "has no model in memsim: " in str(error)


@pytest.mark.parametrize("hunk", Hunk)
def test_pseudo_c__has_the_functions_that_the_hunk_changes_and_names_of_the_kernel(hunk):
    """Each function stands in its file; each that it calls has a model, or a reason why not."""
    changed = {(change.kernel_file, change.function) for change in hunk_changes(hunk)}
    counts = {("mm/page_alloc.c", "__offline_isolated_pages")}  # the model counts with and without the hunk
    shorts = pseudo_c(hunk)
    assert {(short.kernel_file, short.function) for short in shorts} - counts == changed
    for short in shorts:
        assert find_model(short.function)[1] == short.kernel_file
        assert any(row.changed for row in short.rows)
        for row in short.rows:
            for text in (row.without, row.applied):
                assert len(text or "") <= 54  # two columns in a cell of JupyterLab
                for name in re.findall(r"(\w+)\(", text or ""):
                    assert is_of_the_kernel(name), name


def test_memsim_patch__shows_the_hunks_that_are_named(capsys):
    assert main(["patch", "xen_balloon", "--whole"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("XEN_BALLOON (patch 2/3): ")
    assert "drivers/xen/balloon.c: balloon_append()" in shown
    assert "MM_INIT" not in shown
    assert main(["patch", "MM_EXIT"]) == 2
    assert "'MM_EXIT' is not a hunk of the series" in capsys.readouterr().err

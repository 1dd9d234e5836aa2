"""The patch, hunk by hunk: what is shown is what runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import memsim
from memsim import AFTER, Hunk, Patch, Scenario, run
from memsim.cli import main
from memsim.source.hunks import decided, hunk_changes
from memsim.source.listings import listings
from memsim.state.trace import FUNCTIONS
from memsim.view.patch import patch_lines

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


def test_patch_lines__fit_the_terminal_and_name_file_and_function():
    wide = list(patch_lines(list(Hunk), 140))
    assert max(map(len, wide)) <= 140
    assert (
        "  mm/mm_init.c: memmap_init_range(), in its helper first_state(); model: memsim/linux/mm/mm_init.py"
        in [line.rpartition(":")[0] for line in wide]
    )
    narrow = "\n".join(patch_lines([Hunk.MEMORY_HOTPLUG], 80))
    assert "\n    +     kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)\n" in narrow
    assert " | " not in narrow


def test_memsim_patch__shows_the_hunks_that_are_named(capsys):
    assert main(["patch", "xen_balloon", "--whole"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("XEN_BALLOON (patch 2/3): ")
    assert "drivers/xen/balloon.c: balloon_append()" in shown
    assert "MM_INIT" not in shown
    assert main(["patch", "MM_EXIT"]) == 2
    assert "'MM_EXIT' is not a hunk of the series" in capsys.readouterr().err

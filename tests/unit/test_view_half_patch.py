"""Half a patch against the whole one: what differs, and the widget moved from Python.

What each hunk does alone, and what is missing without it, is tested in test_half_patch.py.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ipywidgets import BoundedIntText, IntSlider, IntText

from memsim import AFTER, BEFORE, Patch, Scenario, compare
from memsim.errors import MemsimError
from memsim.patch import Hunk
from memsim.scenario.comparison import count_differing
from memsim.view.half_patch.runs import HalfRun, kernel_title
from memsim.view.half_patch.widget import half_patch

SCENARIO = Scenario.parse(
    {
        "format": "memsim-scenario/1",
        "title": "on and off",
        "machine": {"ram": [[0, 131072]]},
        "steps": [
            {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 32768},
            {"do": "online", "block": 32, "type": "online_movable"},
            {"do": "offline", "block": 32},
        ],
    },
    "test",
)

REACHED_ANYWAY = (BoundedIntText, IntSlider, IntText)
ONLINE = 2


@pytest.mark.parametrize("debug_vm", [False, True])
@pytest.mark.parametrize("release", ["6.1", "6.12"])
def test_the_whole_patch_differs_in_nothing_from_itself(release, debug_vm):
    for steps in range(4):
        result = HalfRun(SCENARIO, AFTER, release, debug_vm=debug_vm, steps=steps)
        assert result.verdict == "no difference from the whole patch"
        assert "Invariants: all hold" in result.text()


def test_without_page_checks_nothing_is_printed_and_yet_all_tail_pages_are_wrong():
    """MM_INIT alone on 6.12 without checks: nobody clears Offline.

    split_large_buddy() frees 64 pageblocks; the head of each becomes Buddy, which overwrites Offline.
    """
    result = HalfRun(SCENARIO, Patch.parse("MM_INIT"), steps=ONLINE, check_pages=False)
    assert result.half.log == ()
    assert result.half.outcomes == result.whole.outcomes
    assert result.pages_differing(32) == 32768 - 64
    assert [text.split(":")[0] for text in result.half.violations] == ["offline-free", "offline-managed"]
    assert result.differing == []


@pytest.mark.parametrize("checks", [{}, {"debug_vm": True}])
def test_page_checks_print_and_leak(checks):
    result = HalfRun(SCENARIO, Patch.parse("MM_INIT"), steps=ONLINE, **checks)
    assert result.half.log[0].startswith("BUG: Bad page state")
    assert "lines in the log that the whole patch does not print" in result.verdict
    (row,) = result.differing
    assert row.words == ("Movable", "nr_free")
    assert row.numbers == (0, 32768)
    assert "more lines" in result.text(32)


def test_a_machine_that_dies_is_told():
    machine = {**SCENARIO.machine, "memmap_on_memory": True}
    result = HalfRun(replace(SCENARIO, machine=machine), Patch.parse("MEMORY_HOTPLUG"), "6.1", debug_vm=True)
    assert result.half.outcomes[-1].startswith(
        "online block 32 (online_movable): the machine died: VM_BUG_ON_PAGE"
    )
    assert "steps end otherwise" in result.verdict


def test_pages_that_differ_are_counted_as_the_comparison_counts_them():
    result = HalfRun(SCENARIO, BEFORE, steps=1)
    both = compare(replace(SCENARIO, steps=SCENARIO.steps[:1]))
    moment = both.moments[-1]
    assert result.pages_differing(32) == both.differing_pages(moment, 0x100000, 32768)
    other = HalfRun(SCENARIO, Patch.parse("PAGE_ALLOC"), steps=ONLINE, debug_vm=True)
    assert other.pages_differing(32) == 32768


def test_a_block_that_is_offline_on_one_of_two_machines_differs_in_every_page():
    """Going offline writes to the first page of each free block only; all others stay as they were."""
    online, offline = (HalfRun(SCENARIO, AFTER, steps=steps).states[0] for steps in (ONLINE, None))
    assert count_differing(online.memmap.sections[32].pages, offline.memmap.sections[32].pages) == 32768


def test_what_is_left_in_the_struct_pages_of_a_block_that_went_offline_is_no_difference():
    """MM_INIT alone leaves the type Offline in nearly all of them; nobody looks at it any more."""
    result = HalfRun(SCENARIO, Patch.parse("MM_INIT"), check_pages=False)
    assert {result.page_map(side, 32).sentence for side in (0, 1)} == {
        "32768 pages not there (·); pageblocks 0-63 ·"
    }
    assert result.verdict == "no difference from the whole patch"


def test_titles():
    assert kernel_title(AFTER) == "The whole patch"
    assert kernel_title(Patch.parse("MM_INIT,PAGE_ALLOC")) == "Only MM_INIT,PAGE_ALLOC"


def test_the_whole_patch_is_run_once_for_all_choices_of_hunks():
    widget = half_patch(SCENARIO, "MM_INIT")
    whole = widget.result.whole_run
    widget.choose(BEFORE)
    assert widget.result.whole_run is whole
    widget.steps.value = 2
    assert widget.result.whole_run is not whole


# ---- the widget ------------------------------------------------------------------------------------


def test_a_box_for_each_hunk_and_what_it_does():
    widget = half_patch(SCENARIO, steps=ONLINE)
    assert list(widget.hunks) == list(Hunk)
    assert "no difference from the whole patch" in widget.twin.text
    widget.hunks[Hunk.PAGE_ALLOC].value = False
    assert widget.patch == Patch.without({Hunk.PAGE_ALLOC})
    assert "All but PAGE_ALLOC" in widget.sight.value
    assert "Bad page state" in widget.sight.value
    assert "with page checks, as Debian ships it" in widget.twin.text
    widget.check_pages.value = False
    assert "offline-free: no page of a free block is of type Offline" in widget.sight.value
    assert "Bad page state" not in widget.sight.value
    assert "[ ] PAGE_ALLOC" in widget.twin.text
    assert "[x] MM_INIT" in widget.twin.text
    alts = re.findall(r'<img alt="(Page map[^"]*)"', widget.sight.value)
    assert alts[0].startswith(
        "Page map of block 32, All but PAGE_ALLOC: 64 pages free (B), 32704 pages free but"
    )
    assert alts[1].startswith("Page map of block 32, The whole patch: 32768 pages free (B)")
    widget.debug_vm.value = True
    assert "Bad page state" in widget.sight.value
    assert "Bad page state" in widget.twin.text
    widget.release.value = "6.1"
    assert "Linux 6.1, with CONFIG_DEBUG_VM" in widget.twin.text
    widget.none.click()
    assert widget.patch == BEFORE
    widget.all.click()
    assert widget.patch == AFTER
    assert "no difference" in widget.twin.text


def test_steps_and_blocks():
    widget = half_patch(SCENARIO)
    assert "after 3 of 3 steps" in widget.twin.text
    widget.steps.value = 0
    assert widget.block.options == (("none", None),)
    assert (widget.block.label, widget.block.index, widget.block.disabled) == ("none", 0, True)
    assert widget.twin.text.count("No memory block is hot-added now.") == 2
    assert widget.sight.value.count("No memory block is hot-added now.") == 2
    assert "<img" not in widget.sight.value
    widget.steps.value = 2
    assert widget.block.value == 32
    assert not widget.block.disabled


def test_a_wrong_scenario_is_answered_in_its_place():
    refusal = half_patch(
        {"format": "memsim-scenario/1", "machine": {"ram": [[0, 1024]]}, "steps": [{"do": "no"}]}
    )
    assert "step 0: 'do' is 'no'; known are" in repr(refusal)


def test_hunks_as_text_and_wrong_ones():
    assert half_patch(SCENARIO, "before", steps=1).patch == BEFORE
    with pytest.raises(MemsimError, match="'MM' is not a hunk of the series"):
        half_patch(SCENARIO, "MM")


def test_every_control_has_a_name_and_a_tooltip_and_is_reached_by_tab():
    widget = half_patch(SCENARIO)
    controls = (widget.all, widget.none, widget.check_pages, widget.debug_vm, widget.release)
    controls += (widget.steps, widget.block)
    for control in (*controls, *widget.hunks.values()):
        assert control.description
        assert control.tooltip
        assert control.tabbable or isinstance(control, REACHED_ANYWAY)


def test_the_stored_output_is_that_of_the_first_kernel():
    widget = half_patch(SCENARIO, "MM_INIT", steps=ONLINE, check_pages=False)
    first = widget._repr_mimebundle_()
    widget.all.click()
    again = widget._repr_mimebundle_()
    for kind in ("text/plain", "text/html"):
        assert first[kind] == again[kind]
    assert "Only MM_INIT" in first["text/plain"]
    assert "2 invariants broken" in first["text/html"]
    assert (
        half_patch(SCENARIO, "MM_INIT", steps=ONLINE, check_pages=False)._repr_mimebundle_()["text/html"]
        == first["text/html"]
    )

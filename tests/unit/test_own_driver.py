"""The harness for a reader's driver: what it shows of a right one, and what it finds in wrong ones."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import BEFORE, KernelError, MemsimError
from memsim.grading import Assignment
from memsim.grading.assignment.course import code_of, load, solution_copy, source_of
from memsim.lesson.own_driver import SUB_BLOCK, Driver, drive
from memsim.lesson.own_driver.calls import replayed
from memsim.lesson.own_driver.explorer import explore_drive
from memsim.view.explorer.explorer import Explorer

GRADING = Path("exercises/grading/write_a_driver.py")
HALF = ["back", *range(32)]
EVERY_OTHER = ["back", *range(0, 64, 2)]


@pytest.fixture(scope="module")
def solved():
    """The driver of the model solution."""
    names = {}
    for cell in code_of(solution_copy(load(source_of(GRADING)))):
        if "check(" not in cell:
            exec(cell, names)  # noqa: S102 (our own notebook)
    return names["Unloading"]


def test_half_a_block_goes_the_whole_way(solved):
    made = drive(solved, [HALF, ["online", 32], ["offline", 32], ["online", 32]])
    assert made.wrong == []
    assert [seen["managed"] for seen in made.seen] == [0, 16384, 0, 16384]
    assert made.seen[1]["blocks"]["32"] == "online " + "f" * 32 + "o" * 32


def test_both_halves_of_a_chunk_are_told_apart(solved):
    made = drive(solved, [EVERY_OTHER, ["online", 32]])
    assert (made.letters(32), made.wrong) == ("".join(["f", "o"] * 32), [])


SUB_BLOCKS, COUNTS = st.integers(0, 127), st.integers(1, 90)
BLOCKS = st.sampled_from([32, 33])
STEPS = st.one_of(
    st.tuples(st.just("plug"), COUNTS),
    st.tuples(st.just("unplug"), COUNTS),
    st.tuples(st.sampled_from(["online", "offline"]), BLOCKS),
    st.tuples(st.just("use"), BLOCKS, st.integers(1, 3000)),
    st.tuples(st.just("pin"), BLOCKS),
    st.sampled_from([("unpin",), ("dimm",), ("online", 40), ("unload",)]),
    st.tuples(st.just("veto"), st.sampled_from(["MEM_GOING_OFFLINE", "MEM_GOING_ONLINE"]), st.booleans()),
)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, min_size=3, max_size=10))
def test_no_script_breaks_the_model_solution(solved, script):
    made = drive(solved, [list(step) for step in script])
    assert made.wrong == []
    assert made.machine.check() == []
    withheld = [
        letter for block in (32, 33) if block in made.machine.blocks for letter in made.letters(block)
    ]
    assert "x" not in withheld  # no reference is missing while a block is online
    assert "?" not in withheld


# ---- wrong drivers --------------------------------------------------------------------------------------


class Everything(Driver):
    """Gives every page to the buddy."""


class Nothing(Driver):
    """Takes no chunk that has any page that is not backed."""

    def online_page(self, pfn, order):
        if not self.withheld(pfn, 1 << order):
            self.kernel.generic_online_page(pfn, order)


class Mine(Driver):
    """Forgets that other memory comes online, too."""

    def online_page(self, pfn, order):
        for first in range(pfn, pfn + (1 << order), SUB_BLOCK):
            number = self.sub_block(first)
            if number is not None and self.plugged[number]:
                self.kernel.generic_online_page(first, 9)


class Twice(Mine):
    """Takes its references back whether it has dropped them or not."""

    def load(self):
        super().load()
        self.kernel.register_memory_notifier(self.memory_notifier)

    def memory_notifier(self, action, start_pfn, nr_pages):
        for pfn in self.withheld(start_pfn, nr_pages):
            if action == "MEM_GOING_OFFLINE":
                self.kernel.page_ref_dec(pfn, SUB_BLOCK)
            elif action == "MEM_CANCEL_OFFLINE":
                self.kernel.page_ref_inc(pfn, SUB_BLOCK)


def test_a_driver_that_gives_everything_uses_what_is_not_backed():
    made = drive(Everything, [HALF, ["online", 32]])
    assert made.wrong == [
        (1, "the kernel uses sub-blocks that the host does not back, the first is number 32")
    ]
    assert "WRONG: the kernel uses" in str(made)


class Uncounted(Driver):
    """Takes a sub-block back, and leaves it in the count of managed pages."""

    def unplug(self, count):
        for number in range(64 - count, 64):
            self.kernel.alloc_contig_range(self.pfn_of(number), SUB_BLOCK)
            self.kernel.SetPageOffline(self.pfn_of(number), SUB_BLOCK)
            self.plugged[number] = False
        return count


def test_a_sub_block_that_is_taken_and_still_counted_is_not_in_use():
    made = drive(Uncounted, [["back", *range(64)], ["online", 32], ["unplug", 1]])
    assert made.letters(32) == "f" * 63 + "o"
    ((step, sentence),) = made.wrong
    assert (step, sentence.partition(":")[0]) == (2, "offline-managed")


def test_a_driver_that_goes_by_chunks_withholds_too_much():
    assert drive(Nothing, [EVERY_OTHER, ["online", 32]]).letters(32) == "o" * 64


def test_a_driver_that_forgets_others_swallows_a_dimm():
    made = drive(Mine, [["dimm"], ["online", 40]])
    assert (made.letters(40), made.seen[-1]["managed"]) == ("o" * 64, 0)


def test_without_the_notifier_a_block_with_withheld_pages_stays_online():
    """scan_movable_pages(), mm/memory_hotplug.c: an Offline page with a reference is EBUSY."""
    assert drive(Mine, [HALF, ["online", 32], ["offline", 32]]).seen[-1]["errno"] == "EBUSY"


def test_a_cancel_without_a_going_shows_in_the_references():
    """blocking_notifier_call_chain() stops at the first veto; MEM_CANCEL_OFFLINE goes to all."""
    script = [HALF, ["online", 32], ["veto", "MEM_GOING_OFFLINE", True], ["offline", 32]]
    made = drive(Twice, script)
    assert made.seen[-1]["errno"] == "EPERM"
    assert made.letters(32) == "f" * 32 + "?" * 32
    assert made.machine.page(made.driver.pfn_of(32)).refcount == 2
    again = drive(Twice, [*script, ["offline", 32]])
    assert any("still referenced while offlining" in sentence for _, sentence in again.wrong)


def test_who_is_gone_and_what_is_not_there_is_an_errno(solved):
    made = drive(solved, [["online", 33], ["use", 40, 1], ["unload"], ["plug", 1], ["unload"]])
    assert [seen["errno"] for seen in made.seen] == ["ENOENT", "ENOENT", "", "ENODEV", "ENODEV"]
    assert made.wrong == []


def test_an_exception_of_the_driver_is_its_readers_to_see():
    with pytest.raises(NotImplementedError):
        drive(Everything, [["plug", 1]])


def test_what_the_kernel_refuses_is_an_errno_and_no_fault():
    made = drive(Mine, [["other driver"]])
    assert (made.seen[0]["errno"], made.wrong) == ("EINVAL", [])


def test_an_unknown_step_is_refused_with_those_that_there_are():
    with pytest.raises(MemsimError, match="no step 'plugg'; there are back, plug, unplug"):
        drive(Mine, [["plugg", 3]])


def test_the_kernel_refuses_to_restore_a_callback_that_is_not_set():
    made = drive(Mine, [])
    with pytest.raises(KernelError, match="EINVAL"):
        made.driver.kernel.restore_online_page_callback(print)
    made.driver.kernel.restore_online_page_callback(made.driver.online_page)


def test_a_report_is_what_json_holds():
    report = drive(Everything, [HALF, ["online", 32]]).report()
    assert set(report) == {"seen", "wrong", "calls"}
    assert report["wrong"][0][0] == 1


BY_HAND = [
    [],
    7,
    [7],
    [["enter", "load"]],
    [["enter", "load"], ["leave", None, "0"]],
    [["enter", "load"], ["leave", None, "x"]],
    [["enter", "load"], ["leave", None, "f" * 65]],
    [["enter", "load"], ["leave", None, "0", 1]],
    [["enter", "load"], ["raise", "EWHATEVER", "0"]],
    [["enter", "load"], ["__init__", 7]],
    [["enter", "load"], ["_machine"]],
    [["enter", "load"], ["page_ref_inc", 1 << 50, 1], ["leave", None, "0"]],
    [["enter", "load"], ["page_ref_inc", 1 << 39, 1 << 39], ["leave", None, "0"]],
    [["enter", "load"], ["generic_online_page", -1, -1], ["leave", None, "0"]],
    [["enter", "load"], ["add_memory", 3, 5], ["leave", None, "0"]],
    [["enter", "load"], ["add_memory", 0x100000, 32768, 1], ["leave", None, "0"]],
    [["enter", "load"], ["set_online_page_callback", "x"], ["leave", None, "0"]],
    [["enter", "load"], ["enter", 0], ["leave", None, "0"]],
    [["enter", "load"], ["generic_online_page", 0x100000, 1 << 39], ["leave", None, "0"]],
]


@pytest.mark.parametrize("events", BY_HAND, ids=str)
def test_calls_that_somebody_has_made_up_do_not_fit(events):
    """Whoever judges a notebook makes the calls again that it says were made."""
    try:
        broken = drive(replayed(events), [HALF, ["online", 32]]).wrong
    except MemsimError as error:
        broken = [str(error)]
    assert broken


def test_own_290_no_order_in_a_call_asks_for_memory():
    """1 << order is a number of pages: of an order that a student has written down it may have gigabytes."""
    calls = [["enter", "load"], ["generic_online_page", 0x100000, 1 << 30], ["leave", None, "0"]]
    tracemalloc.start()
    with pytest.raises(MemsimError, match="no call is"):
        drive(replayed(calls), [HALF])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100 << 20


def test_calls_made_again_show_the_same(solved):
    script = [
        HALF,
        ["online", 32],
        ["plug", 5],
        ["pin", 32],
        ["unplug", 9],
        ["unload"],
        ["unpin"],
        ["unload"],
    ]
    report = drive(solved, [*script, ["other driver"], ["dimm"], ["online", 40]]).report()
    again = drive(replayed(report["calls"]), [*script, ["other driver"], ["dimm"], ["online", 40]]).report()
    assert report["wrong"] == []
    assert again == report
    shorter = drive(replayed(report["calls"]), [HALF, ["online", 32], ["unplug", 5]])
    assert "do not fit this script at call " in shorter.wrong[0][1]


# ---- the explorer ---------------------------------------------------------------------------------------


def test_a_script_can_be_explored_on_both_kernels(solved):
    shown = explore_drive(solved, [HALF, ["online", 32], ["offline", 32]])
    assert isinstance(shown, Explorer)
    text = repr(shown)
    assert "Unloading on two kernels" in text
    assert "32768 pages reserved (R, refcount 1)" in text  # it opens where the kernels begin to differ
    assert "32768 pages Offline (O, refcount 1)" in text


def test_a_driver_for_kernels_with_the_series_fails_without_it(solved):
    """Pages are born reserved there, and an isolation refuses reserved pages (set_migratetype_isolate())."""
    script = [HALF, ["online", 32], ["offline", 32]]
    assert drive(solved, script).seen[-1]["errno"] == ""
    assert drive(solved, script, patch=BEFORE).seen[-1]["errno"] == "EBUSY"


def test_the_grading_file_is_that_of_the_notebook():
    assert Assignment.load(GRADING).name == "write-a-driver"

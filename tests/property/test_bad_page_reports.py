"""Reports of bad pages: their text is what memsim.explain() reads, and what the machine's struct page holds.

explain() knows nothing of how a report was made. It reads each word with the tables of the kernels' headers;
``answer("bad-page")`` never reads the text, and takes everything from the machine.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import Machine, Patch, explain
from memsim.lesson import answer
from memsim.lesson.problems.bad_pages import CAUSES, STORIES
from memsim.lesson.problems.draw import Draw
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.mm.page_alloc.buddy import BAD_PAGE_BURST
from memsim.machine.bad_page_report import bad_page_reports
from memsim.state.trace import KERNEL_FILES

SEEDS = st.integers(0, 10**6)
BIRTH = {"A", "B"}
"""Causes of which the call trace goes through online_pages_range() from a write to sysfs."""


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_every_word_of_a_report_says_what_the_machine_holds(seed):
    solved = answer("bad-page", seed=seed)
    values = list(solved.answers().values())
    (page,) = explain(solved.task.facts["report"]).pages
    reading = page.reading
    assert reading.problems == []  # the raw words, the flags line and the counts agree
    assert reading.dump.source == "bad_page()"
    assert [
        hex(reading.dump.pfn),
        reading.dump.pfn // PAGES_PER_SECTION,
        reading.zone_name,
        tuple(reading.names),
        tuple(reading.types),
        reading.refcount,
    ] == values[:6]
    assert ("6.1" if reading.dump.pointer else "6.12") == values[7]  # no address since 6.9
    about = {"nonzero mapcount": "type", "nonzero _refcount": "refcount"}.get(reading.dump.reason, "flags")
    assert about == values[6]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(STORIES)), SEEDS)
def test_the_cause_can_be_found_in_the_report(cause, seed):
    """Each cause has marks of its own in the report; no two causes share them."""
    report = STORIES[cause](Draw(f"{cause}/{seed}"))
    by_driver = any("[acme_balloon]" in call for call in report.calls)
    page = report.page
    marks = (by_driver, "offline" in str(page), "buddy" in str(page), page.reserved, page.refcount)
    assert (
        marks
        == {
            "A": (False, True, False, False, 0),
            "B": (False, False, False, True, 0),
            "C": (True, True, False, False, 0),
            "D": (False, False, True, False, 0),
            "E": (True, False, False, False, 1),
            "F": (True, False, False, True, 0),
        }[cause]
    )
    assert ("online_pages_range" in report.calls) is (cause in BIRTH)
    assert report.calls[:2] == ("bad_page", "free_pages_prepare")


def test_all_causes_are_drawn():
    drawn = {answer("bad-page", seed=seed).task.facts["cause"] for seed in range(60)}
    assert drawn == set(CAUSES) == set(STORIES)


@pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])
def test_a_report_has_the_lines_of_its_release(release):
    """bad_page(), mm/page_alloc.c; __dump_page(), mm/debug.c; dump_stack_print_info(), lib/dump_stack.c."""
    machine = Machine(release=release, patch=Patch.without("PAGE_ALLOC"))
    machine.add_memory(0x100000, PAGES_PER_SECTION)
    with bad_page_reports(machine) as reports:
        machine.online(32, "online_movable")
    lines = reports[0].lines()
    assert lines[0] == "BUG: Bad page state in process bash  pfn:100001"
    assert [line.partition(":")[0] for line in lines[1:7]] == (
        ["page", "flags", "raw", "raw", "page dumped because", "Modules linked in"]
        if release == "6.1"
        else ["page", "flags", "page_type", "raw", "raw", "page dumped because"]
    )
    # 6.1 prints page_mapcount(), which is a type plus 1: 0xfffffeff is -257.
    assert ("mapcount:-256" in lines[1]) is (release == "6.1")
    assert ("mapcount:0 " in lines[1]) is (release != "6.1")
    assert any(
        line.startswith("CPU: 0 PID: " if release == "6.1" else "CPU: 0 UID: 0 PID: ") for line in lines
    )


def test_as_many_are_reported_as_a_kernel_prints():
    machine = Machine(patch=Patch.without("PAGE_ALLOC"))
    machine.add_memory(0x100000, PAGES_PER_SECTION)
    with bad_page_reports(machine) as reports:
        machine.online(32, "online_movable")
    assert [report.page.pfn for report in reports] == [0x100001 + n for n in range(BAD_PAGE_BURST)]
    assert machine.kernel.bad_pages == PAGES_PER_SECTION
    assert machine.kernel.trace is None
    assert "suppressed" in machine.log[-1]


def test_what_runs_is_not_changed_by_looking():
    machines = [Machine(patch=Patch.without("MM_INIT")) for _ in range(2)]
    for machine in machines:
        machine.add_memory(0x100000, PAGES_PER_SECTION)
    with bad_page_reports(machines[0]):
        machines[0].online(32, "online_movable")
    machines[1].online(32, "online_movable")
    assert machines[0].log == machines[1].log
    assert machines[0].zone("Movable").managed_pages == machines[1].zone("Movable").managed_pages


def test_a_call_trace_holds_functions_of_the_kernel():
    """What is marked as a model stands in the trace under the kernel's name."""
    report = STORIES["A"](Draw("trace"))
    modelled = [call for call in report.calls if call in KERNEL_FILES]
    assert modelled[:3] == ["__free_pages_core", "generic_online_page", "online_pages_range"]


def test_explain_says_that_an_offline_page_was_freed():
    """An Offline page in such a report has no owner that let go of it on purpose."""
    report = STORIES["C"](Draw("explain"))
    said = " ".join(fact.text for fact in explain(report.text()).pages[0].facts)
    assert "It was freed while it was Offline" in said
    assert "agreed to offlining" not in said

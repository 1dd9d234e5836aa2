"""Balloon drivers when nobody watches, against the same drivers page by page: the same state, always.

Without a tape single pages go between a balloon and the buddy many at a time. The same is done on two
machines that are alike, one of which must go page by page; compared are pages, counters, free lists and the
balloon's list in their order, what the kernel printed, and what the driver knows.
"""

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from memsim import AFTER, BEFORE, Machine
from memsim.linux.drivers.xen.balloon import pages as xen_balloon_pages
from memsim.linux.drivers.xen.balloon.pages import FRAME_LIST, decrease_reservation, increase_reservation
from memsim.linux.include.layout import MAX_DMA_PFN
from memsim.linux.include.page_flags import PageFlag

from .driver_scripts import N, scenarios
from .driver_sides import Side, told

PATCHES = st.sampled_from([BEFORE, AFTER])


# ---- whole scripts ---------------------------------------------------------------------------------


def single_steps(side, way):
    """Make a kernel go page by page, because of a tape or without any reason."""
    if way == "tape":
        side.machine.record()
    side.kernel.quick = False


@pytest.mark.parametrize("kind", ["hv-balloon", "xen-balloon"])
def test_a_script_leaves_exactly_the_state_of_single_steps(snapshot, kind):
    # Without shrinking, which takes minutes; the step that differs is told.
    @settings(phases=[Phase.generate])
    @given(scenarios(kind, size=8), PATCHES, st.sampled_from(["plain", "plain", "tape"]))
    def alike(script, patch, way):
        quick, slow = (Side(script, patch, "6.12") for _ in range(2))
        single_steps(slow, way)
        for number, step in enumerate(script.steps):
            assert quick.do(number) == slow.do(number), step
            assert told(quick.device) == told(slow.device), step
        assert quick.kernel.quick
        assert snapshot(quick.kernel.state) == snapshot(slow.kernel.state)

    alike()


# ---- lists in any order, with holes ----------------------------------------------------------------

FIRST, SIZE = MAX_DMA_PFN - 1300, 2600
"""The balloon's memory, in two zones; beside it the buddy has a little less than three lists of frames."""
ORDERS = ("ascending", "descending", "mixed")
stretches = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 700), st.sampled_from(ORDERS)), min_size=1, max_size=4
)
counts = st.sampled_from([1, 2, 100, FRAME_LIST, FRAME_LIST + 1]) | st.integers(1, FRAME_LIST)
CHANGES = [
    ("set_flags", PageFlag.DIRTY),
    ("set_flags", PageFlag.HWPOISON),
    ("clear_flags", PageFlag.RESERVED),
    ("set_refcount", 2),
]
marks = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(1, 40), st.sampled_from(CHANGES)), max_size=3
)
rounds = st.lists(st.tuples(st.booleans(), counts), min_size=1, max_size=8)


def list_of(parts):
    """Return the pages of some stretches in the order of each, none of them twice; the rest are holes."""
    pfns = {}
    for start, length, order in parts:
        part = list(range(FIRST + start, FIRST + min(start + length, SIZE)))
        if order == "descending":
            part.reverse()
        elif order == "mixed":
            Random(start).shuffle(part)  # noqa: S311 (no secret)
        pfns.update(dict.fromkeys(part))
    return list(pfns)


def balloon_with(pfns, patch, marked):
    """Return the balloon of a machine with these pages on its list, and some of them marked."""
    xen = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": N}
    extra = {"extra_start_pfn": FIRST, "extra_pages": SIZE}
    kept = [(0, FIRST - 700), (FIRST + SIZE + 700, 1000)]
    machine = Machine([(0, FIRST + SIZE + 1700)], patch, reserved=kept, devices=[xen | extra])
    balloon = machine.devices["xen0"]
    balloon.ballooned_pages[:] = pfns
    for offset, nr_pages, (change, value) in marked:
        getattr(balloon.kernel.memmap, change)(FIRST + offset, min(nr_pages, SIZE - offset), value)
    return balloon


@settings(max_examples=4 * settings.default.max_examples)
@given(stretches, PATCHES, marks, rounds)
def test_a_list_in_any_order_leaves_exactly_the_state_of_single_steps(snapshot, parts, patch, marked, work):
    quick, slow = (balloon_with(list_of(parts), patch, marked) for _ in range(2))
    slow.kernel.quick = False
    for increases, nr_pages in work:
        change = increase_reservation if increases else decrease_reservation
        assert change(quick.kernel, nr_pages) == change(slow.kernel, nr_pages)
        assert told(quick) == told(slow)
        assert snapshot(quick.kernel.state) == snapshot(slow.kernel.state)


def test_neighbours_of_two_zones_that_are_taken_together_leave_each_its_own(snapshot):
    states = []
    for quick in (True, False):
        kept = [(0, MAX_DMA_PFN - 100), (MAX_DMA_PFN + 100, 1000)]
        machine = machine_of(MAX_DMA_PFN + 1100, reserved=kept)
        machine.kernel.quick = quick
        decrease_reservation(machine.kernel, 200)
        assert machine.zone("DMA").managed_pages == machine.zone("DMA32").managed_pages == 0
        states.append(snapshot(machine.kernel.state))
    assert states[0] == states[1]


# ---- which way is taken ----------------------------------------------------------------------------


def machine_of(ram=N, **options):
    xen = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": N}
    return Machine([(0, ram)], devices=[xen], **options)


def test_nothing_is_done_to_single_pages_when_nobody_watches(monkeypatch):
    for name in ("alloc_pages", "free_reserved_page", "balloon_append", "balloon_retrieve"):
        monkeypatch.setattr(xen_balloon_pages, name, None)
    balloon = machine_of().devices["xen0"]
    for target in (N - 5000, N - 10):
        balloon.set_target(target)
        assert balloon.current_pages == target


def test_a_tape_hears_of_every_page():
    machine = machine_of(record=True)
    for target in (N - FRAME_LIST, N):
        machine.devices["xen0"].set_target(target)
    points = [event.point for event in machine.tape.events]
    for function in ("balloon_append", "balloon_retrieve", "free_reserved_page"):
        assert f"enter:{function}#{FRAME_LIST}" in points

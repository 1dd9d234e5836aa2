"""Rules that grading files state without running a machine, held against the simulator."""

import inspect
from functools import cache
from pathlib import Path
from random import Random

import pytest

from memsim import AFTER, Hunk, Machine, Patch
from memsim.errors import KernelError
from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.course import code_of, load, solution_copy
from memsim.lesson.problems import faulty_driver
from memsim.lesson.problems.bad_pages import driver_report
from memsim.lesson.review import PROPOSALS, play

START, BLOCK = 0x100000, 32768
VIRTIO_MEM = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": START,
    "region_pages": 4 * BLOCK,
    "device_block_pages": 512,
}
HYPER_V = {"kind": "hv-balloon", "name": "hv0"}
XEN = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": 4 * BLOCK}
GRADING = Path("exercises/grading/the_patch.py")


def ends(machine, action):
    """Return everything that tells whether a kernel works, after an action and its errno."""
    errno = ""
    try:
        action()
    except KernelError as error:
        errno = error.name
    zones = [(zone.managed_pages, zone.nr_free_pages) for zone in machine.kernel.state.zones]
    return errno, zones, [violation.name for violation in machine.check()], machine.log


@cache
def stories(patch):
    """Return how five stories end on a kernel: with checks where they are quick."""
    told = []
    for options in ({"debug_vm": True}, {"memmap_on_memory": True}):
        machine = Machine(patch=patch, **options)
        machine.add_memory(START, BLOCK)
        told.append(ends(machine, lambda machine=machine: machine.online(32, "online_movable")))
    for offline in (False, True):
        machine = Machine(patch=patch, devices=[VIRTIO_MEM])
        machine.devices["vm0"].request(8192)
        machine.online(32, "online_movable")
        machine.devices["vm0"].request(12288)
        told.append(ends(machine, lambda machine=machine, offline=offline: offline and machine.offline(32)))
    machine = Machine(patch=patch, devices=[HYPER_V])
    machine.devices["hv0"].hot_add(START, 2000)
    machine.online(32, "online_movable")
    told.append(ends(machine, lambda: machine.devices["hv0"].hot_add(START + 2000, 500)))
    xen = Machine(patch=patch, devices=[XEN])
    xen.devices["xen0"].set_target(4 * BLOCK + 100)
    told.append(ends(xen, lambda: xen.online(4, "online_kernel")))
    return told


def some_sets():
    """Return sets of hunks by name: each alone, each missing, some at random."""
    numbers, every = Random(3), list(Hunk)  # noqa: S311 (the same sets in each run)
    sets = [[hunk] for hunk in every] + [[other for other in every if other != hunk] for hunk in every]
    sets += [[], every] + [[hunk for hunk in every if numbers.random() < 0.5] for _ in range(12)]
    named = {"+".join(hunk.name for hunk in hunks) or "none": hunks for hunks in sets}
    return [pytest.param(hunks, id=name) for name, hunks in named.items()]


@cache
def broken():
    """Return the rule of the grading file."""
    question = next(q for q in Assignment.load(GRADING).questions if q.name == "kernel_works")
    return next(iter(question.tests)).__globals__["broken"]


@pytest.mark.parametrize("hunks", some_sets())
def test_a_kernel_works_if_what_its_hunks_lean_on_is_there(hunks):
    works = stories(Patch(hunks)) == stories(AFTER)

    assert works == (broken()({hunk.name for hunk in hunks}) is None)


def solved(name):
    """Return what the solved notebook of an assignment defines, without its checks."""
    cells = code_of(solution_copy(load(Path(f"exercises/source/{name}/{name}.ipynb"))))
    made = {}
    exec("\n\n".join(cell for cell in cells if "\ncheck(" not in f"\n{cell}"), made)  # noqa: S102 (our own notebook)
    return made


def test_the_report_whose_mistake_is_asked_for_is_what_the_driver_leads_to():
    notebook, pfn = solved("bad-page"), 0xDE87
    machine = Machine(release="6.12", reserved=[(pfn, 1)])
    report = driver_report(machine, lambda: faulty_driver.acme_free_table(machine.kernel, pfn))

    assert notebook["TABLE"] == report.text(whole=False) + "\n"
    # A reserved page of boot memory, in a trace without __free_pages_core(): it did not come online.
    assert [notebook["mistake"](notebook[name]) for name in ("NEW", "TABLE", "OLD")] == ["A", "F", "F"]


def test_every_exit_that_does_not_put_the_counter_back_is_a_right_line():
    proposal = PROPOSALS["virtio-count-first-v2"]
    accepted = Assignment.load(Path("exercises/grading/review.py")).questions[0].tests
    lines = dict(enumerate(proposal.diff(), 1))
    body = inspect.getsource(proposal.replacement()).splitlines()
    back = next(at for at, line in enumerate(body) if line.endswith("count(kernel, pfn, nr_pages)"))
    exits = [at for at, line in enumerate(body[:back]) if line.strip().startswith("raise")]

    assert [body[at].strip() for at in exits] == [
        'raise KernelError("EAGAIN", "virtio_mem_fake_offline", message)',
        "raise",
    ]
    # One is printed, the other left out. The lines of its branch count, too, and the line that needs them.
    shown = [number for number, line in lines.items() if line.strip() in {"raise", "..."}]
    branch = [
        number for number, line in lines.items() if "config_changed" in line or 'message = f"the conf' in line
    ]
    needs = [number for number, line in lines.items() if line.startswith("+") and line.endswith("-1)")]
    (a_way_out,) = [test for test in accepted if test.__name__ == "a_way_out"]
    right = {number for number in range(17) if asked(a_way_out, number) is None}
    assert right == {*shown, *branch, *needs}


def test_a_script_is_shrunk_if_no_shorter_one_tells_the_patch_from_the_model():
    """Without step 0 the WARNING of add_pages() comes with the patch and without it: it shows nothing."""
    name, script = "virtio-count-first-v2", (0, 2, 7, 4)
    tests = Assignment.load(Path("exercises/grading/review.py")).questions[1].tests
    (no_memory,) = [test for test in tests if test.__name__ == "no_memory"]
    with_it, without = (play(name, script[1:], apply=apply).faults for apply in (True, False))

    assert with_it == without != ()
    assert asked(no_memory, list(script)) is None
    assert "not shrunk" in asked(no_memory, [0, 2, 7, 4, 4])  # the last step adds nothing


def asked(test, answer):
    """Return what a test says to one answer, whatever it asks."""
    running = test(Random(0), {})  # noqa: S311 (a test's choice)
    next(running)
    try:
        running.send(answer)
    except StopIteration as done:
        return done.value
    return "it asks again"

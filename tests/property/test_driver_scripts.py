"""Drivers in random scripts, before and after the patch: alike but for what the specification names.

The specification is chapters 15 and 16 of the fact sheet, of which the state table is kept with the tests.
The fuzzer must also find each of three broken kernels; the scripts that it shrank those to are kept.
"""

import math
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.internal.conjecture import engine

from memsim import AFTER, BEFORE, Hunk, Patch
from memsim.linux.include.page_flags import PageFlag

from .driver_pairs import NAMED, Pair, disagreement
from .driver_scripts import DEVICES, N, configurations, scenario, scenarios
from .driver_sides import Side

SCRIPTS = 2 * settings.default.max_examples
"""For each kind of device; with the profile ``nightly`` 2,500."""


@pytest.mark.parametrize("kind", DEVICES)
def test_before_and_after_differ_only_as_the_specification_names_it(kind):
    @settings(max_examples=SCRIPTS)
    @given(scenarios(kind), configurations())
    def alike(script, configuration):
        assert disagreement(script, (BEFORE, AFTER), **configuration) is None

    alike()


def request(pages):
    return {"do": "virtio_mem_request", "device": "vm0", "requested_pages": pages}


def auto_online(kind, steps):
    """Return the scenario of a kept script: blocks come online by themselves."""
    machine = {"ram": [[0, N]], "devices": [DEVICES[kind]], "default_online_type": "online_movable"}
    return scenario(machine, steps)


# ---- what is accepted is met, and nothing else is accepted ---------------------------------------------

DIMM = {"do": "add_memory", "start_pfn": 40 * N, "nr_pages": N}
XEN = {"device": "xen0"}
MEETS = {
    "M3": ("virtio-mem", [DIMM], 40 * N),
    "Y2": (
        "hv-balloon",
        [{"do": "hv_hot_add", "device": "hv0", "start_pfn": 32 * N, "nr_pages": 9}],
        32 * N + 9,
    ),
    "Y4": ("hv-balloon", [DIMM], 41 * N - 1),
    "X1": ("xen-balloon", [DIMM], 41 * N - 1),
    "X6": ("xen-balloon", [DIMM, XEN | {"do": "xen_balloon_lend", "nr_pages": 1}], 41 * N - 1),
}


def pair(kind, steps):
    """Return two kernels on which a script was run and found alike; blocks come online by themselves."""
    machine = {"ram": [[0, N]], "devices": [DEVICES[kind]], "default_online_type": "online_kernel"}
    both = Pair(scenario(machine | {"memmap_on_memory": True}, steps), (BEFORE, AFTER), "6.12")
    assert both.disagreement() is None
    return both


def test_each_named_row_has_a_script():
    assert set(MEETS) == NAMED


@pytest.mark.parametrize(("kind", "steps", "pfn"), MEETS.values(), ids=MEETS)
def test_a_named_row_is_met_and_any_other_difference_of_such_a_page_is_noticed(kind, steps, pfn):
    both = pair(kind, steps)
    assert [bool(side.machine.page(pfn).reserved) for side in both.sides] == [True, False]

    both.sides[1].kernel.memmap.set_flags(pfn, 1, PageFlag.REFERENCED)

    assert f"1 pages differ, first {pfn:#x}" in both.difference()


@pytest.mark.parametrize("flag", [PageFlag.RESERVED, PageFlag.REFERENCED])
def test_a_page_that_no_row_names_may_not_differ(flag):
    both = pair("virtio-mem", [request(512)])
    pfn = 32 * N + 512  # withheld by virtio-mem, where the patch changes nothing

    both.sides[1].kernel.memmap.set_flags(pfn, 1, flag)

    assert f"1 pages differ, first {pfn:#x}" in both.difference()


def test_free_lists_are_compared_in_order():
    both = pair("virtio-mem", [])
    blocks = next(b for zone in both.sides[0].kernel.state.zones for b in zone.free_area[10] if len(b) > 1)
    blocks.appendleft(blocks.pop())

    assert both.difference().startswith("free lists")


def test_a_page_that_nobody_has_is_lost():
    (side, _) = pair("virtio-mem", [request(512)]).sides
    assert side.wrong() == []
    side.device.mode.plugged[32][1] = True  # the driver forgets that it withholds a sub-block

    assert any("neither managed nor kept by anybody" in fault for fault in side.wrong())


# ---- nothing is lost, whatever the host answers --------------------------------------------------------


def device_step(do, device, **arguments):
    return {"do": do, "device": device, **arguments}


def misbehaving(kind, answer):
    """Return a script in which the host answers so while the machine shrinks and grows again."""
    if kind.startswith("virtio-mem"):
        name, unit = "vm0", DEVICES[kind]["device_block_pages"]
        grow, shrink, rest = request(2 * N - unit), request(unit), request(N)
    elif kind == "hv-balloon":
        name = "hv0"
        grow = device_step("hv_hot_add", name, start_pfn=32 * N, nr_pages=N + 5000)
        shrink, rest = (
            device_step("hv_inflate", name, nr_pages=3000),
            device_step("hv_deflate", name, nr_pages=900),
        )
    else:
        name = "xen0"
        grow, shrink, rest = (
            device_step("xen_balloon_target", name, target_pages=pages)
            for pages in (N + 3000, N - 700, N + 800)
        )
    host = device_step("host_will", name, answer=answer, times=2)
    offline = [{"do": "offline", "block": block} for block in (2, 32, 33)]
    return [grow, host, shrink, *offline, host, rest, {"do": "wait", "seconds": 3600}]


ANSWERS = {
    "virtio-mem": ("NACK", "BUSY", "ERROR", f"RESIZE:{N // 2}"),
    "virtio-mem, big blocks": ("NACK", "BUSY", "ERROR", f"RESIZE:{N}"),
    "hv-balloon": ("BUSY", "ERROR"),
    "xen-balloon": ("REFUSE", "HALF"),
}


@pytest.mark.parametrize(
    ("release", "patch"), [("6.1", BEFORE), ("6.1", AFTER), ("6.12", BEFORE), ("6.12", AFTER)]
)
@pytest.mark.parametrize(("kind", "answer"), [(kind, answer) for kind in ANSWERS for answer in ANSWERS[kind]])
def test_every_page_is_managed_or_withheld_or_gone_with_its_block(kind, answer, release, patch):
    script = auto_online(kind, misbehaving(kind, answer))
    side, came, went = Side(script, patch, release), N, 0
    for number in range(len(script.steps)):
        blocks = set(side.sections())
        side.do(number)
        came += N * len(set(side.sections()) - blocks)
        went += N * len(blocks - set(side.sections()))
        assert side.wrong() == []
        withheld = sum(
            int(mask.sum()) for nr, one in side.sections().items() for mask in side.books(nr, one).values()
        )
        assert side.machine.totalram_pages + withheld + went == came
    assert came > N


# ---- the stage at which offlining is refused -----------------------------------------------------------


def test_a_stage_that_the_patch_moves_is_accepted_and_no_other_end_is():
    both = pair("hv-balloon", MEETS["Y2"][1])
    offline = {"do": "offline", "block": 32}
    assert both.refused_at_another_stage(offline, ["EBUSY", "EBUSY"])
    assert both.refused_at_another_stage(offline, ["EBUSY", "EINTR"])
    assert not both.refused_at_another_stage(offline, ["EBUSY", None])
    assert not both.refused_at_another_stage(offline, ["EINTR", "EBUSY"])
    assert not both.refused_at_another_stage(offline | {"block": 33}, ["EBUSY", "EBUSY"])
    for kind, steps, block in (("virtio-mem", [request(512)], 32), (*MEETS["M3"][:2], 40)):
        other = offline | {"block": block}
        assert not pair(kind, steps).refused_at_another_stage(other, ["EBUSY", "EBUSY"])


MIGRATED = [
    device_step("hv_hot_add", "hv0", start_pfn=32 * N, nr_pages=1),
    {"do": "allocate", "block": 32, "nr_pages": 1, "migratetype": "movable"},
    {"do": "offline", "block": 32},
]


def test_a_page_that_is_migrated_before_the_refusal_may_be_free_in_another_zone():
    # The only backed page of the block goes to ZONE_NORMAL, but only where the block is scanned.
    both = Pair(auto_online("hv-balloon", MIGRATED), (BEFORE, AFTER), "6.12")
    assert both.disagreement() is None

    free = [[zone.nr_free_pages for zone in side.kernel.state.zones] for side in both.sides]
    assert free[0] != free[1]
    assert sum(free[0]) == sum(free[1])
    assert not both.alike


# ---- three broken kernels, and the shortest scripts that show it ---------------------------------------


ONE_PAGE = {"do": "hv_hot_add", "device": "hv0", "start_pfn": 0x100000, "nr_pages": 1}
CHECKED = {"release": "6.1", "debug_vm": True}
"""The one kernel that looks whether a type that is cleared was set: 6.12 and production kernels do not."""
PRODUCTION = {"release": "6.12", "debug_vm": False}
BROKEN = {
    # virtio-mem clears Offline, then the core clears it again.
    "virtio-mem hunk missing": (
        "virtio-mem",
        Patch.without({Hunk.VIRTIO_MEM}),
        CHECKED,
        [request(512), request(1024)],
        "__ClearPageOffline",
    ),
    # Nobody strips PG_reserved, so withheld pages are not what V3 says.
    "virtio-mem hunk alone": (
        "virtio-mem",
        Patch({Hunk.VIRTIO_MEM}),
        PRODUCTION,
        [request(512)],
        "pages differ, first 0x100200",
    ),
    # The driver counts what it withholds as managed, and the core no longer takes it away.
    "3/3 in the core only": (
        "virtio-mem",
        Patch.without({Hunk.OFFLINE_DRIVER}),
        PRODUCTION,
        [request(512), request(0)],
        "zones",
    ),
    # A backed page that is fresh is not Offline before the patch, and the new branch takes that for done.
    "Hyper-V: new branch in the old kernel": (
        "hv-balloon",
        Patch({Hunk.HV_BALLOON}),
        PRODUCTION,
        [ONE_PAGE],
        "zones",
    ),
    # The old branch clears Offline, then the core clears it again.
    "Hyper-V: old branch in the new kernel": (
        "hv-balloon",
        Patch.without({Hunk.HV_BALLOON}),
        CHECKED,
        [ONE_PAGE],
        "__ClearPageOffline",
    ),
}
LONGEST = "virtio-mem hunk missing"
ALL_BROKEN = pytest.mark.parametrize(
    ("kind", "patch", "configuration", "steps", "fault"), BROKEN.values(), ids=BROKEN
)


@ALL_BROKEN
def test_the_kept_script_shows_the_broken_kernel(kind, patch, configuration, steps, fault):
    number, _, found = disagreement(auto_online(kind, steps), (BEFORE, patch), **configuration)

    assert number == len(steps) - 1
    assert fault in found


@ALL_BROKEN
def test_the_kept_script_is_clean_on_the_right_kernels(kind, patch, configuration, steps, fault):  # noqa: ARG001
    assert disagreement(auto_online(kind, steps), (BEFORE, AFTER), **configuration) is None


class Search:
    """Whether a scenario shows a broken kernel; is one short enough, longer ones are not tried any more."""

    def __init__(self, patches, configuration, enough):
        self.patches, self.configuration, self.enough = patches, configuration, enough
        self.found = []

    def __call__(self, script):
        if script in self.found:
            return True
        shortest = min((len(one.steps) for one in self.found), default=1000)
        if shortest <= self.enough and len(script.steps) >= shortest:
            return False
        if disagreement(script, self.patches, **self.configuration) is None:
            return False
        self.found.append(script)
        return True


def searched(case, **how):
    """Return the scenario that the fuzzer ends with."""
    kind, patch, configuration, steps, _ = BROKEN[case]
    bounded = settings(
        max_examples=100, derandomize=True, database=None, suppress_health_check=list(HealthCheck), **how
    )
    search = Search((BEFORE, patch), configuration, enough=len(steps))
    return find(scenarios(kind, size=4), search, settings=bounded, random=Random(0))  # noqa: S311 (no secret)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case == LONGEST)) for case in BROKEN]
)
def test_the_fuzzer_finds_the_broken_kernel_and_shrinks_the_script(case, monkeypatch):
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", math.inf)  # however slow the machine is
    assert len(searched(case).steps) <= len(BROKEN[case][3])


def test_the_fuzzer_finds_the_one_that_takes_longest_to_shrink():
    _, patch, configuration, *_ = BROKEN[LONGEST]
    found = searched(LONGEST, phases=[Phase.generate])
    assert disagreement(found, (BEFORE, patch), **configuration) is not None
    assert disagreement(found, (BEFORE, AFTER), **configuration) is None

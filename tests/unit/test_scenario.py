"""Scenario files: what is refused and how, and how a run ends."""

from __future__ import annotations

import copy
import json

import pytest

from memsim.errors import BadScenario
from memsim.patch import BEFORE, Hunk, Patch
from memsim.scenario.scenario import FORMAT, Scenario, run
from memsim.scenario.steps import STEPS, tell_step
from memsim.state.trace import Probe

P, N = 0x100000, 32768
DIMM = {"do": "add_memory", "start_pfn": P, "nr_pages": N}
ONLINE = {"do": "online", "block": 32, "type": "online_movable"}
VALID = {"format": FORMAT, "title": "one DIMM", "machine": {"ram": [[0, N]]}, "steps": [DIMM, ONLINE]}
VM0 = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": P,
    "region_pages": N,
    "device_block_pages": 512,
}


def refusal(document):
    """Return the message with which a document is refused."""
    with pytest.raises(BadScenario) as caught:
        Scenario.parse(document, "x.json")
    return str(caught.value)


def with_(**changes):
    """Return the valid document with some top-level keys changed; None takes a key away."""
    document = copy.deepcopy(VALID) | changes
    return {key: value for key, value in document.items() if value is not None}


def scenario(*steps, **machine):
    """Return a checked scenario of these steps."""
    return Scenario.parse(with_(steps=list(steps), machine={"ram": [[0, N]], **machine}))


# ---- refusals --------------------------------------------------------------------------------------


def test_what_a_scenario_needs_is_enough():
    checked = Scenario.parse({"format": FORMAT, "machine": {"ram": [[0, N]]}, "steps": []})
    assert (checked.title, checked.steps) == ("", ())


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ([], "x.json must be a JSON object"),
        (with_(format=None), "'format' is None, must be 'memsim-scenario/1'"),
        (with_(format="memsim-scenario/2"), "'format' is 'memsim-scenario/2', must be"),
        (with_(author="me"), "unknown key 'author'; known are format, machine, steps, title"),
        (with_(title=7), "'title' must be a string"),
        (with_(machine=None), "machine must be a JSON object"),
        (with_(steps=None), "'steps' must be a list"),
        (with_(steps={"0": DIMM}), "'steps' must be a list"),
        (with_(machine={}), "machine: 'ram' must be a list of [start_pfn, nr_pages]"),
        (with_(machine={"ram": [[0]]}), "machine: 'ram' must be a list of [start_pfn, nr_pages]"),
        (with_(machine={"ram": [[0, 1.5]]}), "machine: 'ram' must be a list of [start_pfn, nr_pages]"),
        (with_(machine={"ram": [[False, N]]}), "machine: 'ram' must be a list of [start_pfn, nr_pages]"),
        (
            with_(machine={"ram": [[0, N]], "reserved": [5]}),
            "'reserved' must be a list of [start_pfn, nr_pages]",
        ),
        (with_(machine={"ram": []}), "machine: ram: a machine needs at least one range of boot memory"),
        (with_(machine={"ram": [[0, 0]]}), "range (0, 0) is empty"),
        (with_(machine={"ram": [[0, 20], [10, 20]]}), "range (10, 20) is empty, negative, or overlaps"),
        (with_(machine={"ram": [[0, N]], "block_pages": 1000}), "block_pages 1000 must be a power of two"),
        (with_(machine={"ram": [[0, N]], "block_pages": 3 * N}), "must be a power of two"),
        (with_(machine={"ram": [[0, N]], "block_pages": 512}), "of at least 32768"),
        (with_(machine={"ram": [[0, N]], "block_pages": "large"}), "block_pages is 'large', must be"),
        (with_(machine={"ram": [[0, N]], "block_pages": None}), "block_pages is None, must be a whole"),
        (
            with_(machine={"ram": [[0, N]], "reserved": [[N, 1]]}),
            "machine: reserved: range (32768, 1) is neg",
        ),
        (with_(machine={"ram": [[0, N]], "devices": [5]}), "machine: device 0 must be a JSON object"),
        (with_(machine={"ram": [[0, N]], "default_online_type": "on"}), "online type 'on' must be one of"),
        (with_(machine={"ram": [[0, N]], "memmap_on_memory": 1}), "'memmap_on_memory' must be true or false"),
        (with_(machine={"ram": [[0, N]], "cpus": 2}), "machine: unknown key 'cpus'; known are"),
    ],
)
def test_a_document_that_breaks_the_format_is_refused_with_its_name_and_the_rule(document, rule):
    message = refusal(document)
    assert message.startswith("x.json")
    assert rule in message


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        ("online", "must be a JSON object"),
        ({}, "'do' is None; known are add_memory, remove_memory, online"),
        ({"do": "offlin", "block": 1}, "'do' is 'offlin'; known are"),
        ({"do": "online"}, "(online): 'block' is missing"),
        ({"do": "online", "block": "32"}, "(online): 'block' is '32', must be a whole number, not negative"),
        ({"do": "online", "block": -1}, "'block' is -1, must be a whole number, not negative"),
        ({"do": "online", "block": True}, "'block' is True, must be a whole number"),
        ({"do": "online", "block": 32.0}, "'block' is 32.0, must be a whole number"),
        ({"do": "online", "block": 32, "type": 3}, "'type' is 3, must be a string"),
        ({"do": "online", "block": 32, "type": "movable"}, "online type 'movable' must be one of offline"),
        ({"do": "online", "block": 32, "zone": "x"}, "unknown key 'zone'; known are block, do, errno, type"),
        ({"do": "offline", "block": 1, "errno": "EBUZY"}, "'EBUZY' is not the name of an errno"),
        ({"do": "offline", "block": 1, "errno": 16}, "'16' is not the name of an errno"),
        ({"do": "allocate", "block": 32}, "(allocate): 'nr_pages' is missing"),
        ({"do": "allocate", "nr_pages": 1, "migratetype": "isolate"}, "migratetype 'isolate' must be one of"),
        ({"do": "add_memory", "start_pfn": P, "nr_pages": None}, "'nr_pages' is None, must be a whole"),
        ({"do": "outside"}, "'what' is missing"),
    ],
)
def test_a_step_that_breaks_the_format_is_refused_with_its_number_and_the_rule(step, rule):
    message = refusal(with_(steps=[DIMM, ONLINE, step]))
    assert message.startswith("x.json: step 2")
    assert rule in message


def test_the_first_step_that_breaks_the_format_is_the_one_that_is_named():
    assert "step 1" in refusal(with_(steps=[DIMM, {"do": "a"}, {"do": "b"}]))


def test_a_file_is_read_and_checked(tmp_path):
    path = tmp_path / "dimm.json"
    path.write_text(json.dumps(VALID), encoding="utf-8")
    assert Scenario.load(path).steps == (DIMM, ONLINE)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "is not JSON: Expecting value in line 1"),
        (b'{\n"format": memsim}', "is not JSON: Expecting value in line 2"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 100000, "nested too deeply"),
        (b"[]", "must be a JSON object"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_in_one_line_that_names_it(tmp_path, content, rule):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(BadScenario) as caught:
        Scenario.load(path)
    assert str(caught.value).startswith(str(path))
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadScenario, match=r"nowhere\.json: cannot be read: No such file"):
        Scenario.load(tmp_path / "nowhere.json")
    with pytest.raises(BadScenario, match="cannot be read: Is a directory"):
        Scenario.load(tmp_path)


# ---- running ---------------------------------------------------------------------------------------


def test_a_scenario_is_run_to_its_end():
    result = run(Scenario.parse(VALID))
    assert [outcome.errno for outcome in result.outcomes] == [None, None]
    assert result.as_expected
    assert result.machine.zone("Movable").managed_pages == N


def test_a_step_that_fails_as_expected_is_as_expected():
    result = run(scenario(DIMM, {**DIMM, "errno": "EEXIST"}))
    assert [outcome.errno for outcome in result.outcomes] == [None, "EEXIST"]
    assert result.outcomes[1].message.startswith("-EEXIST from register_memory_resource(): ")
    assert result.as_expected


@pytest.mark.parametrize(
    "step",
    [
        DIMM,  # fails and should not
        {**DIMM, "errno": "ENOMEM"},  # fails otherwise than it should
        {**ONLINE, "errno": "EBUSY"},  # should fail and does not
    ],
)
def test_a_step_that_ends_otherwise_is_not_as_expected_and_the_run_goes_on(step):
    result = run(scenario(DIMM, step, {"do": "outside", "what": "nothing"}))
    assert [outcome.as_expected for outcome in result.outcomes] == [True, False, True]
    assert not result.as_expected


def test_a_machine_that_dies_ends_the_run_and_says_of_what():
    # 6.1 with debug_vm stops when Offline is cleared from pages that never had it.
    result = run(
        scenario(DIMM, ONLINE, {"do": "offline", "block": 32}),
        Patch({Hunk.PAGE_ALLOC}),
        "6.1",
        debug_vm=True,
    )
    assert result.died.startswith("VM_BUG_ON_PAGE in __ClearPageOffline: pfn 0x100000")
    assert len(result.outcomes) == 1
    assert not result.as_expected
    assert result.machine.log[-1] == f"kernel BUG: {result.died}"


def test_the_machine_of_a_scenario_is_the_one_it_describes():
    spec = {"block_pages": 2 * N, "default_online_type": "online_movable", "ram": [[0x200000, N], [0, 2 * N]]}
    machine = scenario(**spec).boot(BEFORE, "6.1", debug_vm=True)
    assert machine.block(0).nr_pages == 2 * N
    assert machine.totalram_pages == 3 * N
    assert (machine.kernel.patch, machine.kernel.release.name) == (BEFORE, "6.1")
    assert machine.kernel.debug_vm
    machine.add_memory(P, 2 * N)
    assert machine.zone("Movable").managed_pages == 2 * N


def test_with_record_the_tape_starts_after_boot_and_has_one_action_a_step():
    result = run(Scenario.parse(VALID), record=True)
    assert result.tape.labels == [tell_step(DIMM), tell_step(ONLINE)]
    assert result.tape.find(0, "enter:add_memory") == 0
    assert result.tape.find(1, "enter:online_pages") is not None
    assert result.tape.at(-1).totalram_pages == N
    assert result.machine.kernel.trace is None


def test_a_trace_of_ones_own_watches_instead():
    points = []
    result = run(Scenario.parse(VALID), trace=Probe(points.append))
    assert points[0] == "enter:add_memory#1"
    assert result.tape is None


def test_one_scenario_can_be_run_twice_with_the_same_end(snapshot):
    checked = Scenario.parse(VALID)
    assert snapshot(run(checked).machine.kernel.state) == snapshot(run(checked).machine.kernel.state)
    assert checked.steps == (DIMM, ONLINE)


def test_a_step_that_happens_outside_of_memory_hotplug_does_nothing(snapshot):
    before = snapshot(scenario().boot().kernel.state)
    assert snapshot(run(scenario({"do": "outside", "what": "dd"})).machine.kernel.state) == before


def test_where_a_page_is_allocated_may_be_left_open():
    result = run(scenario({"do": "allocate", "nr_pages": 5}))
    assert result.as_expected
    assert sum(zone.nr_free_pages for zone in result.machine.kernel.state.zones) == N - 5


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (DIMM, "add_memory 32768 pages at pfn 0x100000"),
        ({"do": "online", "block": 3}, "online block 3 (online)"),
        ({"do": "allocate", "nr_pages": 5}, "allocate 5 movable pages in block any"),
    ],
)
def test_a_step_is_told_in_one_line_with_what_it_leaves_out(step, told):
    assert tell_step(step) == told


@pytest.mark.parametrize("name", STEPS)
def test_every_kind_of_step_can_be_told_with_all_that_it_must_have(name):
    values = {int: 1234, str: "vm0", list: [1234]}
    required = [argument for argument in STEPS[name].arguments if not argument.optional]
    step = {"do": name} | {argument.name: values[argument.kind] for argument in required}
    told = tell_step(step)
    for argument in required:
        assert "vm0" in told if argument.kind is str else "1234" in told or "0x4d2" in told


# ---- what steps hold -------------------------------------------------------------------------------


def free_pages(done):
    """Return how many pages are free at the end of a run."""
    return sum(zone.nr_free_pages for zone in done.machine.kernel.state.zones)


@pytest.mark.parametrize(
    ("free", "left"),
    [
        ({}, 0),
        ({"nr_pages": 4}, 6),
        ({"nr_pages": 1000}, 0),
        ({"block": 32}, 3),
        ({"block": 32, "nr_pages": 5}, 5),
        ({"block": 7}, 10),
    ],
)
def test_a_free_step_gives_back_what_allocate_steps_took(free, left):
    taken = [{"do": "allocate", "block": 32, "nr_pages": 7}, {"do": "allocate", "block": 0, "nr_pages": 3}]
    done = run(scenario(DIMM, ONLINE, *taken, {"do": "free", **free}))

    assert done.as_expected
    assert free_pages(run(scenario(DIMM, ONLINE))) - free_pages(done) == left
    assert sum(map(len, done.machine.users.allocated)) == left
    assert not done.machine.check()


def test_time_passes_in_a_wait_step():
    busy = {"do": "host_will", "device": "vm0", "answer": "BUSY", "times": 1}
    ask = {"do": "virtio_mem_request", "device": "vm0", "requested_pages": 512}
    plugged = [
        run(scenario(busy, ask, *wait, devices=[VM0])).machine.devices["vm0"].plugged_pages()
        for wait in ([], [{"do": "wait", "seconds": 49}], [{"do": "wait", "seconds": 50}])
    ]

    assert plugged == [0, 0, 512]


def test_lent_pages_are_taken_back():
    device = {"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": 0x10000}
    lend = {"do": "xen_balloon_lend", "device": "xen0", "nr_pages": 30}
    back = {"do": "xen_balloon_take_back", "device": "xen0", "nr_pages": 10}
    done = run(scenario(lend, back, devices=[device]))

    assert len(done.machine.users.lent) == 20
    done = run(scenario(lend, back, {"do": "xen_balloon_take_back", "device": "xen0"}, devices=[device]))
    assert done.machine.users.lent == []
    assert done.machine.totalram_pages == N


def test_a_driver_can_be_unbound_in_a_step():
    steps = [
        {"do": "virtio_mem_request", "device": "vm0", "requested_pages": 512},
        ONLINE,
        {"do": "virtio_mem_remove", "device": "vm0"},
        {"do": "offline", "block": 32, "errno": "EBUSY"},
        {"do": "virtio_mem_remove", "device": "vm0", "errno": "ENODEV"},
    ]

    assert run(scenario(*steps, devices=[VM0])).as_expected


def test_a_machine_keeps_what_the_scenario_says_is_reserved():
    document = with_(machine={"ram": [[0, N]], "reserved": [[100, 3], [200, 5]]}, steps=[])
    machine = Scenario.parse(document).boot()
    assert [pfn for pfn in range(N) if machine.page(pfn).reserved] == [*range(100, 103), *range(200, 205)]
    assert machine.totalram_pages == N - 8


@pytest.mark.parametrize(
    ("machine", "options", "debug_vm", "check_pages"),
    [
        ({}, {}, False, True),  # as Debian ships its kernels: CONFIG_INIT_ON_ALLOC_DEFAULT_ON
        ({"check_pages": False}, {}, False, False),
        ({"check_pages": False}, {"check_pages": True}, False, True),
        ({"debug_vm": True, "check_pages": False}, {}, True, True),
        ({"debug_vm": True}, {"debug_vm": False, "check_pages": False}, False, False),
    ],
)
def test_a_scenario_says_which_checks_its_kernel_makes_and_options_override_it(
    machine, options, debug_vm, check_pages
):
    kernel = scenario(**machine).boot(**options).kernel
    assert (kernel.debug_vm, kernel.check_pages) == (debug_vm, check_pages)


def test_linux_6_1_checks_pages_whatever_is_asked():
    assert scenario(check_pages=False).boot(release="6.1").kernel.check_pages

"""Bugs that the tests of the core brought to light, each as small as it gets."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from memsim.errors import BadObservation, BadScenario, KernelError, MemsimError, errno_number
from memsim.linux.include.notifier import NOTIFY_BAD
from memsim.linux.mm.vmstat import protection
from memsim.machine.machine import Machine
from memsim.recordings.observation import Observation
from memsim.recordings.replay import replay
from memsim.scenario.scenario import FORMAT, Scenario

P, N = 0x100000, 32768


def added():
    """Return a machine with an offline block 32."""
    machine = Machine([(0, N)])
    machine.add_memory(P, N)
    return machine


# ---- the notifier chain: only GOING actions ask, all others tell ---------------------------------------


def test_what_a_listener_answers_to_cancel_online_is_nobodys_concern():
    # online_pages() returns the errno of the veto, and shrinks the span again whatever CANCEL is told.
    machine = added()
    fine = {"MEM_PREPARE_ONLINE"}
    machine.register_memory_notifier(lambda action, *_: None if action in fine else NOTIFY_BAD)
    with pytest.raises(KernelError, match="vetoed MEM_GOING_ONLINE"):
        machine.online(32)
    assert machine.zone("Normal").spanned_pages == 0


def test_what_a_listener_answers_to_mem_online_is_nobodys_concern():
    # MEM_ONLINE is the last thing that online_pages() does; then it returns 0.
    machine = added()
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_ONLINE" else None)
    assert machine.online(32)
    assert machine.block(32).state == "online"


def test_what_a_listener_answers_to_mem_offline_is_nobodys_concern():
    machine = added()
    machine.online(32)
    machine.register_memory_notifier(lambda action, *_: NOTIFY_BAD if action == "MEM_OFFLINE" else None)
    assert machine.offline(32)
    assert machine.block(32).state == "offline"
    assert machine.zone("Normal").spanned_pages == 0


def test_what_a_listener_answers_to_cancel_offline_is_nobodys_concern():
    machine = added()
    machine.online(32)
    machine.register_memory_notifier(lambda *_: NOTIFY_BAD)
    with pytest.raises(KernelError, match="vetoed MEM_GOING_OFFLINE"):
        machine.offline(32)


# ---- memory that is known ------------------------------------------------------------------------------


def test_an_empty_range_that_is_refused_does_not_make_the_memory_that_starts_there_unknown():
    machine = added()
    machine.online(32)
    with pytest.raises(KernelError, match="EINVAL"):
        machine.add_memory(P, 0)
    machine.offline(32)  # fails with "has a hole" when its resource is gone


def test_boot_memory_need_not_start_where_a_memory_block_starts():
    # 256 MiB blocks, and RAM in the second half of the first.
    machine = Machine([(N, N)], block_pages=2 * N)
    assert machine.totalram_pages == N


def test_boot_memory_beyond_what_the_kernel_can_address_is_refused():
    with pytest.raises(MemsimError, match="ends at pfn 0x20000000008000, beyond 0x400000000"):
        Machine([(1 << 53, N)])


def test_a_memory_block_size_that_cannot_be_is_refused_by_the_machine_too():
    with pytest.raises(MemsimError, match="block_pages 1000 must be a power of two"):
        Machine(block_pages=1000)


# ---- files: one clear line, never a traceback -----------------------------------------------------------


def test_only_names_of_errnos_are_names_of_errnos():
    # The module errno holds other names, too.
    for name in ("errorcode", "__name__", "__doc__"):
        with pytest.raises(MemsimError, match="is not the name of an errno"):
            errno_number(name)


@pytest.mark.parametrize("do", [[], {}])
def test_a_step_whose_do_is_no_string_is_refused(do):
    document = {"format": FORMAT, "machine": {"ram": [[0, N]]}, "steps": [{"do": do}]}
    with pytest.raises(BadScenario, match="step 0"):
        Scenario.parse(document)


def test_a_number_with_more_digits_than_python_reads_is_refused(tmp_path):
    path = tmp_path / "long.json"
    path.write_text("1" * 5000, encoding="utf-8")
    with pytest.raises(BadScenario, match=r"long\.json"):
        Scenario.load(path)


def recording():
    """Return a bundled recording as JSON."""
    file = resources.files("memsim") / "recordings" / "data" / "6.12base-after-dimm.json"
    return json.loads(file.read_text(encoding="utf-8"))


def with_value(document, path, value):
    """Return a document with one value replaced."""
    inside = document
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kernel", "series"), []),
        (("states", "O/1"), []),
        (("states", "O/1", "type"), "offlin"),
        (("states", "O/1", "flags"), ["reserve"]),
        (("states", "O/1", "flags"), None),
        (("states", "O/1", "refcount"), "1"),
        (("states", "B10", "order"), []),
        (("states", "*", "managed"), False),  # and no type then
        (("probes", 0, "zones"), None),
        (("probes", 0, "zones"), {"HighMem": {}}),
        (("probes", 0, "zones", "Normal"), 0),
        (("probes", 0, "zones", "Normal"), {}),
        (("probes", 0, "blocks"), []),
        (("probes", 0, "blocks"), {"block 32": {"present": False, "online": False}}),
        (("probes", 0, "blocks", "32"), 0),
        (("probes", 0, "blocks", "32"), {}),
    ],
)
def test_a_recording_with_a_wrong_value_is_refused(path, value):
    document = with_value(recording(), path, value)
    with pytest.raises(BadObservation):
        replay(Observation.parse(document, "x.json"))


PAGES = ("probes", 2, "blocks", "32", "pages")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("probes", 0, "blocks"), {"\u00b2": {"present": False, "online": False}}),  # a digit, and no number
        (PAGES, [[-1, "n/0"], [32769, "O/1"]]),
        (PAGES, [[10**12, "n/0"]]),
        (PAGES, [[10**12, [[1, "n/0"]]]]),
        (PAGES, [["32768", "O/1"]]),
        (PAGES, [[32768.9, "O/1"]]),  # would be taken for 32768
    ],
)
def test_a_recording_whose_blocks_and_pages_cannot_be_counted_is_refused(path, value):
    document = with_value(recording(), path, value)
    with pytest.raises(BadObservation):
        replay(Observation.parse(document, "x.json"))


@pytest.mark.parametrize("hunks", [[1], 3, [None], {"MM_INIT": 1}])
@pytest.mark.parametrize("key", ["only", "missing"])
def test_a_recording_whose_hunks_are_no_names_is_refused(key, hunks):
    document = recording()
    document["kernel"] |= {"series": "partial", key: hunks}
    with pytest.raises(BadObservation):
        replay(Observation.parse(document, "x.json"))


def test_a_device_region_beyond_what_the_kernel_can_address_is_refused():
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": P, "region_pages": 1 << 70}
    machine = {"ram": [[0, N]], "devices": [device | {"device_block_pages": 512}]}
    with pytest.raises(MemsimError, match="vm0: the region ends beyond pfn 0x400000000"):
        Scenario.parse({"format": FORMAT, "machine": machine, "steps": []}).boot()


# ---- what public reports show ------------------------------------------------------------------------


def test_an_unaligned_hot_add_prints_the_line_that_the_kernel_prints():
    # intel/nemu issue 48: a DIMM of 1 GiB at 4 GiB and 2 MiB.
    machine = Machine([(0, 131072)])
    with pytest.raises(KernelError, match="EINVAL"):
        machine.add_memory(0x100200, 262144)
    line = "Block size [0x8000000] unaligned hotplug range: start 0x100200000, size 0x40000000"
    assert machine.log == [line]


def test_watermarks_and_protection_of_a_real_xen_guest():
    # linux-mm, March 2026, Linux 7.0-rc4: min, low, high in kB; lowmem_reserve[] of ZONE_DMA in pages.
    end = 4096 + 68587
    machine = Machine([(1, 158), (256, 3840 + 68587)], reserved=[(1, 158), (end - 18567, 18567)])
    dma, dma32 = machine.zone("DMA"), machine.zone("DMA32")
    assert [4 * pages for pages in dma.watermark[:3]] == [132, 164, 196]
    assert protection(machine.kernel, dma) == [0, 195, 195, 195, 195]
    low, middle, high = (4 * pages for pages in dma32.watermark[:3])
    assert (middle - low, high - middle) == (428, 428)


# ---- offline_and_remove_memory(), mm/memory_hotplug.c ------------------------------------------------


def test_a_block_that_does_not_come_online_again_is_printed():
    machine = Machine([(0, N)])
    machine.add_memory(P, 2 * N)
    for block in (32, 33):
        machine.online(block, "online_movable")
    refused = {("MEM_GOING_OFFLINE", P + N), ("MEM_GOING_ONLINE", P)}
    machine.register_memory_notifier(lambda *said: NOTIFY_BAD if said[:2] in refused else None)
    with pytest.raises(KernelError, match="vetoed MEM_GOING_OFFLINE"):
        machine.offline_and_remove_memory(P, 2 * N)
    assert [machine.block(block).state for block in (32, 33)] == ["offline", "online"]
    assert "try_reonline_memory_block: Failed to re-online memory: -1" in machine.log

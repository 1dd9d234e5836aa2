"""Pinned pages: somebody holds a reference for as long as he likes, and the block cannot go offline.

do_migrate_range(), mm/memory_hotplug.c; dump_page(), mm/debug.c; 6.1, 6.12 and 7.3.
"""

import pytest

from memsim import Machine
from memsim.errors import KernelError
from memsim.linux.include.page_flags import PageType
from memsim.linux.mm.debug import dump_page
from memsim.scenario.scenario import Scenario, run

START, PAGES = 0x100000, 32768
RELEASES = pytest.mark.parametrize("release", ["6.1", "6.12", "7.3"])


def pinned(release="6.12"):
    """Return a machine with a pinned page in block 32, and its pfn."""
    machine = Machine(release=release)
    machine.add_memory(START, PAGES)
    machine.online(32, "online_movable")
    return machine, machine.pin(32)


@RELEASES
def test_a_block_with_a_pinned_page_is_tried_until_a_signal_and_goes_offline_afterwards(release):
    machine, pfn = pinned(release)
    with pytest.raises(KernelError) as caught:
        machine.offline(32, patience=3)
    assert (caught.value.name, machine.block(32).state) == ("EINTR", "online")
    assert machine.log[-1].endswith("failed due to signal backoff")
    assert machine.page(pfn).refcount == 2
    machine.unpin(pfn)
    machine.offline(32)
    assert machine.block(32).state == "offline"
    assert machine.check() == []


def test_other_pages_are_migrated_and_only_the_pinned_one_stays():
    machine, pfn = pinned()
    users = machine.allocate(20, block=32)
    with pytest.raises(KernelError, match="EINTR"):
        machine.offline(32, patience=3)
    assert all(page // PAGES != 32 for page in users)
    assert machine.page(pfn).refcount == 2


@RELEASES
def test_the_page_is_dumped_in_the_form_of_the_release(release):
    machine, pfn = pinned(release)
    with pytest.raises(KernelError):
        machine.offline(32, patience=2)
    start = machine.log.index(f"migrating pfn {pfn:x} failed ret:1")
    first, flags, raw, raw_more, reason = machine.log[start + 1 : start + 6]
    # Who tries to migrate a page takes it off the LRU and holds one more reference.
    said = f"refcount:3 mapcount:0 mapping:0000000000000000 index:0x0 pfn:{pfn:#x}"
    assert first == (f"page:0000000000000000 {said}" if release == "6.1" else f"page: {said}")
    assert flags == "flags: 0x1fffffc0000000(node=0|zone=3|lastcpupid=0x1fffff)"
    assert raw == "raw: 001fffffc0000000 0000000000000000 0000000000000000 0000000000000000"
    assert raw_more == "raw: 0000000000000000 0000000000000000 00000003ffffffff 0000000000000000"
    assert reason == "page dumped because: migration failure"


@pytest.mark.parametrize(
    ("release", "line", "word"),
    [
        ("6.1", None, "fffffeff"),
        ("6.11", "page_type: dfffffff(offline)", "dfffffff"),
        ("6.12", "page_type: f1(offline)", "f1000000"),
        ("7.3", "page_type: f1(offline)", "f1000000"),
    ],
)
def test_the_type_of_a_page_is_printed_from_6_9_on(release, line, word):
    machine, pfn = pinned(release)
    machine.kernel.memmap.set_type(pfn, 1, PageType.OFFLINE)
    dump_page(machine.kernel, pfn, "test")
    types = [each for each in machine.log if each.startswith("page_type:")]
    assert types == ([line] if line else [])
    assert any(each.split()[-2].endswith(word) for each in machine.log if each.startswith("raw:"))


def test_ten_failures_are_printed_and_no_more():
    machine, _ = pinned()
    for _ in range(2):
        with pytest.raises(KernelError):
            machine.offline(32, patience=20)
    assert sum(line.startswith("migrating pfn") for line in machine.log) == 10


def test_pin_and_unpin_are_steps_of_a_scenario():
    steps = [
        {"do": "add_memory", "start_pfn": START, "nr_pages": 2 * PAGES},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "online", "block": 33, "type": "online_movable"},
        {"do": "pin", "block": 32},
        {"do": "pin", "block": 33},
        {"do": "offline", "block": 32, "errno": "EINTR"},
        {"do": "unpin", "block": 33},
        {"do": "offline", "block": 33},
        {"do": "offline", "block": 32, "errno": "EINTR"},
        {"do": "unpin"},
        {"do": "offline", "block": 32},
    ]
    machine = {"ram": [[0, 131072]]}
    result = run(Scenario.parse({"format": "memsim-scenario/1", "machine": machine, "steps": steps}))
    assert result.as_expected
    assert "unmovable" not in " ".join(result.machine.log)

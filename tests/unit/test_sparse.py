"""The memmap of a section that is hotplugged: mm/sparse.c, mm/sparse-vmemmap.c, arch/x86/mm/init_64.c."""

import pytest

from memsim import Machine
from memsim.errors import KernelError

START, PAGES = 0x100000, 32768


def fragmented(keep):
    """Return a machine with ``keep`` free pages, no two of them in one piece."""
    machine = Machine(ram=[(0, 4096)], block_pages=PAGES)
    pages = machine.allocate(4096, "unmovable")
    machine.free([pages.pop(pages.index(pfn)) for pfn in range(0, 2 * keep, 2)])
    return machine


def test_a_memmap_takes_2_mib_in_one_piece_where_there_are():
    machine = Machine()
    free = machine.zone("DMA32").nr_free_pages
    machine.add_memory(START, PAGES)
    assert (len(machine.kernel.vmemmap), machine.kernel.vmemmap_base_pages) == (1, {})
    assert machine.zone("DMA32").nr_free_pages == free - 512


def test_without_2_mib_in_one_piece_a_memmap_takes_single_pages_and_a_page_table():
    # vmemmap_populate_hugepages(), 6.1 and 6.12: no block of PMD_SIZE, so vmemmap_populate_basepages().
    machine = fragmented(keep=600)
    free = sum(zone.nr_free_pages for zone in machine.kernel.zones)
    machine.add_memory(START, PAGES)
    assert sum(zone.nr_free_pages for zone in machine.kernel.zones) == free - 513
    machine.online(32, "online_movable")
    assert machine.check() == []
    machine.offline(32)
    machine.remove_memory(START, PAGES)
    assert sum(zone.nr_free_pages for zone in machine.kernel.zones) == free


def test_a_memmap_for_which_there_are_not_enough_single_pages_leaves_nothing_behind():
    machine = fragmented(keep=512)  # one short: the page table
    free = sum(zone.nr_free_pages for zone in machine.kernel.zones)
    with pytest.raises(KernelError, match=r"ENOMEM.*section 32"):
        machine.add_memory(START, PAGES)
    assert sum(zone.nr_free_pages for zone in machine.kernel.zones) == free
    assert 32 not in machine.kernel.memmap.sections

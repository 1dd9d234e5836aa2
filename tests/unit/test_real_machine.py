"""``memsim machine --from DIR``: the same machine, what was taken from where, and what differs.

The PC and the Xen guest are public reports (rockstor issue 1502; linux-mm, March 2026), shortened: the
numbers of pages are what those kernels counted.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memsim import Machine
from memsim.cli import main
from memsim.errors import MemsimError
from memsim.machine.boot_memory import boot_reservations, totals
from memsim.real.boot_memory import fit
from memsim.real.proc_files import e820, read_files
from memsim.real.real_machine import differences, real_machine
from memsim.scenario.scenario import Scenario, run

PC_E820 = """\
[    0.000000] Linux version 4.6.0-1 (x86_64)
[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009e7ff] usable
[    0.000000] BIOS-e820: [mem 0x000000000009e800-0x000000000009ffff] reserved
[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000bc153fff] usable
[    0.000000] BIOS-e820: [mem 0x00000000bd731000-0x00000000bd731fff] usable
[    0.000000] BIOS-e820: [mem 0x00000000bd7b8000-0x00000000bdbf8fff] usable
[    0.000000] BIOS-e820: [mem 0x00000000bdff4000-0x00000000bdffffff] usable
[    0.000000] BIOS-e820: [mem 0x0000000100000000-0x000000043fffffff] usable
"""
GUEST_IOMEM = """\
00000000-00000fff : Reserved
00001000-0009efff : System RAM
  00002000-00002fff : Kernel code
00100000-11beafff : System RAM
  01000000-01dfffff : Kernel code
"""
GUEST_ZONEINFO = """\
Node 0, zone      DMA
  pages free     3840
        min      33
        low      41
        high     49
        spanned  4095
        present  3998
        managed  3840
  start_pfn:           1
Node 0, zone    DMA32
  pages free     1393
        spanned  68587
        present  68587
        managed  50020
  start_pfn:           4096
"""


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes files into a folder and reads them."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return read_files(tmp_path)

    return write


def test_a_pc_from_its_e820_map_has_the_zones_that_its_kernel_counted(folder):
    found = real_machine(folder(dmesg=PC_E820))
    machine = found.scenario.boot(release=found.release)
    present = {zone.name: zone.present_pages for zone in machine.kernel.state.zones if zone.present_pages}
    # On node 0 totalpages: 4179263; DMA zone: 3997 pages; DMA32: 767394; Normal: 3407872.
    assert present == {"DMA": 3997, "DMA32": 767394, "Normal": 3407872}
    assert sum(present.values()) == 4179263
    assert found.release == "6.1"
    assert any("4.6" in line and "6.1" in line for line in found.lost)


def test_a_guest_from_iomem_and_zoneinfo_shows_no_difference(folder):
    files = folder(
        proc__iomem=GUEST_IOMEM, proc__zoneinfo=GUEST_ZONEINFO, proc__version="Linux version 6.12.1 (x)"
    )
    found = real_machine(files)
    machine = found.scenario.boot(release=found.release)
    assert [(z.name, z.managed_pages) for z in machine.kernel.state.zones if z.present_pages] == [
        ("DMA", 3840),
        ("DMA32", 50020),
    ]
    assert not differences(files, machine)
    assert any("2 ranges of RAM from proc/iomem" in line for line in found.taken)
    assert any("18725 reserved pages" in line and "zoneinfo" in line for line in found.taken)


def test_what_differs_is_listed_with_both_numbers(folder):
    files = folder(iomem=GUEST_IOMEM, zoneinfo=GUEST_ZONEINFO.replace("spanned  4095", "spanned  4096"))
    machine = real_machine(files).scenario.boot()
    assert [(d.what, d.real, d.simulated) for d in differences(files, machine)] == [
        ("zone DMA: spanned", "4096", "4095")
    ]


def test_an_exported_machine_comes_back_the_same(tmp_path):
    first = Machine([(1, 158), (256, 131072)], default_online_type="online")
    first.add_memory(0x100000, 65536)
    first.offline(33)
    first.export(tmp_path)
    files = read_files(tmp_path)
    found = real_machine(files)
    again = found.scenario.boot()
    assert found.document["machine"]["default_online_type"] == "online"
    assert len(again.kernel.memory_blocks) == len(first.kernel.memory_blocks)
    assert found.document["steps"] == [{"do": "offline", "block": 33}]


def test_movable_blocks_are_plugged_after_boot(tmp_path):
    first = Machine([(0, 131072)])
    first.add_memory(0x100000, 65536)
    first.online(32, "online_movable")
    first.online(33, "online_movable")
    first.export(tmp_path)
    files = read_files(tmp_path)
    found = real_machine(files)
    assert found.document["machine"]["ram"] == [[0, 131072]]
    assert found.document["steps"] == [
        {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 65536},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "online", "block": 33, "type": "online_movable"},
    ]


def test_memory_of_a_driver_is_named_as_lost(folder):
    text = f"{GUEST_IOMEM}100000000-10fffffff : System RAM (virtio_mem)\n"
    found = real_machine(folder(iomem=text))
    assert found.document["steps"][0] == {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 65536}
    assert any("virtio_mem" in line for line in found.lost)


def test_lsmem_gives_blocks_and_zones(folder):
    lsmem = (
        "RANGE                                 SIZE  STATE REMOVABLE  BLOCK   ZONES\n"
        "0x0000000000000000-0x000000001fffffff 512M online       yes    0-3    None\n"
        "0x0000000100000000-0x000000010fffffff 256M online       yes  32-33 Movable\n"
        "0x0000000110000000-0x0000000117ffffff 128M offline              34\n"
        "Memory block size:       128M\n"
    )
    found = real_machine(folder(lsmem=lsmem))
    machine = found.document["machine"]
    assert machine["block_pages"] == 32768
    assert machine["ram"] == [[0, 131072], [0x110000, 32768]]
    assert all(
        start < 131072 for start, _ in machine["reserved"]
    )  # nothing is kept of memory that is offline
    assert run(found.scenario).as_expected
    assert {step["do"] for step in found.document["steps"]} == {"add_memory", "online", "offline"}


def test_nodes_are_joined_and_said_to_be(folder):
    two = GUEST_ZONEINFO + GUEST_ZONEINFO.replace("Node 0", "Node 1")
    found = real_machine(folder(iomem=GUEST_IOMEM, zoneinfo=two))
    assert any("2 NUMA nodes" in line for line in found.lost)


@pytest.mark.parametrize(("size", "total"), [(16, 16 * 53860), (64, 64 * 53860)])
def test_other_page_sizes_are_refused(folder, size, total):
    files = folder(iomem=GUEST_IOMEM, zoneinfo=GUEST_ZONEINFO, meminfo=f"MemTotal: {total} kB\n")
    with pytest.raises(MemsimError, match=f"pages of {size} KiB"):
        real_machine(files)


def test_addresses_that_only_root_sees(folder):
    hidden = "00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n"
    with pytest.raises(MemsimError, match="read iomem as root"):
        real_machine(folder(iomem=hidden))
    found = real_machine(folder(iomem=hidden, dmesg=PC_E820))
    assert any("only root" in line for line in found.unknown)


MACHINES = Path(__file__).parents[1] / "material" / "machines"
"""Files of stock Debian kernels under QEMU, shortened to the lines that are read."""


@pytest.mark.parametrize("name", ["6.12-movablecore", "6.12-crashkernel", "6.1-kernelcore"])
def test_a_whole_machine_comes_back_with_its_zones_and_blocks(name):
    files = read_files(MACHINES / name)
    found = real_machine(files)
    result = run(found.scenario, release=found.release)
    rows = {row.what for row in differences(files, result.machine)}
    # Other than the watermarks, which khugepaged raised, and what runs on the machine nothing differs.
    assert {row for row in rows if not row.endswith((": min", ": low", ": high"))} == {
        f"zone {zone.name}: free blocks of order 0 to 10 (what runs on a machine takes memory)"
        for zone in result.machine.kernel.zones
        if zone.present_pages
    }
    assert result.machine.check() == []
    assert any("khugepaged" in line for line in found.lost)
    not_attributed = next(line for line in found.unknown if "of the reserved pages are for" in line)
    assert int(not_attributed.split()[1]) < 40


def test_movablecore_and_the_crash_kernel_are_taken_from_where_they_stand():
    movable = real_machine(read_files(MACHINES / "6.12-movablecore"))
    assert movable.document["machine"]["movablecore_pages"] == 65536
    assert movable.document["steps"] == []  # the movable blocks are boot memory
    crash = real_machine(read_files(MACHINES / "6.12-crashkernel"))
    assert [0x6F000, 0x10000] in crash.document["machine"]["reserved"]  # 6f000000-7effffff : Crash kernel
    assert "crash kernel 65,536" in crash.document["machine"]["comment"]


def test_without_counters_boot_code_keeps_what_its_rules_say(folder):
    dmesg = (MACHINES / "6.12-movablecore" / "dmesg").read_text(encoding="utf-8")
    found = real_machine(folder(dmesg=dmesg, version="Linux version 6.12.117", cmdline="movablecore=256M"))
    machine = found.scenario.boot(release=found.release)
    assert machine.totalram_pages * 4 == pytest.approx(4016172, rel=0.001)  # MemTotal of that machine
    assert any("by the rules of Linux 6.12" in line and "memmap 16,384" in line for line in found.unknown)


def test_what_a_zone_lost_after_boot_is_not_taken_for_boot_memory(folder):
    # Seen on a virtual machine with 24 GiB and 6.18: zones lacked 4 GiB, MemTotal what boot code keeps.
    whole = 158 + 72427
    files = folder(
        iomem=GUEST_IOMEM, zoneinfo=GUEST_ZONEINFO, meminfo=f"MemTotal: {4 * (whole - 12000)} kB\n"
    )
    found = real_machine(files)
    assert sum(size for _, size in found.document["machine"]["reserved"]) == 12000
    assert any("12000 reserved pages (RAM less MemTotal) from meminfo" in line for line in found.taken)
    assert any("why zones lack more pages" in line for line in found.unknown)


@pytest.mark.parametrize(("less", "buffers"), [(0, 16384), (100, 16384), (16576, 0), (16700, 0)], ids=str)
def test_a_machine_that_keeps_less_than_the_rules_say_may_have_no_bounce_buffers(less, buffers):
    ram = [(256, 0x7FF00), (0x100000, 0x40000)]
    kept = boot_reservations(ram)
    pages = sum(each.nr_pages for each in kept) - less
    fitted = fit(kept, ram, (0, 1 << 40), pages)
    assert sum(each.nr_pages for each in fitted) == pages
    sums = totals(fitted)
    assert sums.get("bounce buffers", 0) == buffers
    assert sums["memmap"] == totals(kept)["memmap"]
    assert sums["kernel image"] == totals(kept)["kernel image"]


@pytest.mark.parametrize(
    ("cmdline", "kept"),
    [("", 0), ("crashkernel=64M", 16384), ("crashkernel=256M-1G:32M,1G-:64M", 8192)],
)
def test_a_crash_kernel_on_the_command_line(folder, cmdline, kept):
    found = real_machine(folder(iomem=GUEST_IOMEM, cmdline=cmdline))
    sizes = dict(map(tuple, found.document["machine"]["reserved"])).values()
    assert (kept in sizes) == bool(kept)


def test_a_parameter_that_is_not_modelled_is_named(folder):
    found = real_machine(
        folder(iomem=GUEST_IOMEM, cmdline="kernelcore=mirror crashkernel=nonsense movable_node")
    )
    lost = " ".join(found.lost)
    assert "kernelcore=mirror" in lost
    assert "crashkernel=nonsense" in lost
    assert "movable_node" in lost


def test_partial_pages_do_not_count():
    (one,) = e820("BIOS-e820: [mem 0x0000000000001800-0x00000000000047ff] usable")
    assert (one.start_pfn, one.nr_pages) == (2, 2)


@pytest.mark.parametrize("text", ["", "garbage \x00 text", "00001000-zzzz : System RAM", "f-0 : System RAM"])
def test_files_that_say_nothing_are_an_error(folder, text):
    with pytest.raises(MemsimError, match="nothing says where the RAM is"):
        real_machine(folder(iomem=text))


@pytest.mark.parametrize("digits", [25, 5000])
def test_numbers_of_no_machine_end_nothing(digits, folder):
    """Files come with bug reports, and Python refuses to read an int of more than 4,300 digits."""
    files = folder(
        iomem=GUEST_IOMEM,
        zoneinfo=GUEST_ZONEINFO.replace("50020", "9" * digits),
        buddyinfo=f"Node 0, zone      DMA      {'9' * digits}      1\n",
        cmdline=f"movablecore={'9' * digits} mem={'9' * digits}%",
        version="Linux version 6.12.0",
    )
    real_machine(files)


def test_a_folder_without_any_file_is_an_error(tmp_path, capsys):
    assert main(["machine", "--from", str(tmp_path)]) == 2
    assert "has none of the files" in capsys.readouterr().err
    assert main(["machine", "--from", str(tmp_path / "none")]) == 2
    assert "is not a directory" in capsys.readouterr().err


def test_the_command_writes_a_scenario_that_runs(folder, capsys, tmp_path):
    folder(iomem=GUEST_IOMEM, zoneinfo=GUEST_ZONEINFO)
    path, out = tmp_path / "out.json", tmp_path / "export"
    assert main(["machine", "--from", str(tmp_path), "--scenario", str(path), "--export", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Taken:" in said
    assert "Not known:" in said
    assert "shows the same" in said
    assert Scenario.load(path).machine["ram"] == [[1, 158], [256, 72427]]
    assert (out / "proc" / "zoneinfo").is_file()
    assert main(["machine", "--from", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []
    assert main(["machine", "--from", str(tmp_path), "--scenario", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "memsim-scenario/1"


@pytest.mark.skipif(not Path("/proc/zoneinfo").is_file(), reason="only Linux has a /proc")
def test_this_machine_is_read_or_refused_in_one_line(capsys):
    status = main(["machine"])
    captured = capsys.readouterr()
    assert status == 0 or (status == 2 and captured.err.count("\n") == 1)

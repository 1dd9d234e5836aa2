"""Programs that know nothing of memsim read an exported machine: lsmem, psutil, the kernel's page-types."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from itertools import groupby

import numpy as np
import psutil
import pytest

from memsim import BEFORE, Machine
from memsim.errors import MemsimError
from memsim.linux.fs.proc import buddyinfo, iomem, kpageflags, pagetypeinfo, zoneinfo
from memsim.machine.export import MARKER, export

PAGES, BLOCK_BYTES = 32768, 128 << 20
COLUMNS = "RANGE,SIZE,STATE,REMOVABLE,BLOCK,NODE,ZONES"


def run(program, *arguments):
    """Run a program; where it is missing the test fails, for then nothing was shown."""
    path = shutil.which(program)
    if path is None:
        pytest.fail(f"{program} is missing: on Debian `apt-get install util-linux` brings it")
    command = [path, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 (fixed names)


def test_without_its_program_a_test_fails_and_says_what_to_install():
    with pytest.raises(pytest.fail.Exception, match=r"no-such-program is missing: .*util-linux"):
        run("no-such-program")


def lsmem(directory, *options):
    """Return what lsmem says of an exported machine: a dict for each line."""
    text = run("lsmem", "--sysroot", directory, "--bytes", "--pairs", "--output", COLUMNS, *options)
    return [dict(pair.split("=", 1) for pair in shlex.split(line)) for line in text.splitlines()]


def summary(directory):
    """Return (block size, online, offline) in bytes, to go by lsmem."""
    text = run("lsmem", "--sysroot", directory, "--bytes", "--summary=only")
    return tuple(int(line.rsplit(maxsplit=1)[1]) for line in text.splitlines() if line)


def line_of(first, last, state, zones, block_bytes=BLOCK_BYTES):
    """Return the line that lsmem must show for blocks first to last."""
    start, end = first * block_bytes, (last + 1) * block_bytes
    return {
        "RANGE": f"0x{start:016x}-0x{end - 1:016x}",
        "SIZE": str(end - start),
        "STATE": state,
        "REMOVABLE": "yes" if state == "online" else "",  # lsmem asks this of online blocks only
        "BLOCK": str(first) if first == last else f"{first}-{last}",
        "NODE": "0",
        "ZONES": zones,
    }


@pytest.fixture
def machine(kernel_kind):
    """Blocks 0-3 from boot; 8 offline, 9 and 10 Movable, 11 Normal: the other way round than added."""
    release, patch = kernel_kind
    machine = Machine(ram=[(0, 4 * PAGES)], patch=patch, release=release, memmap_on_memory=True)
    for block in (11, 10, 9, 8):
        machine.add_memory(block * PAGES, PAGES)
    for block in (9, 10):
        machine.online(block, "online_movable")
    machine.online(11, "online_kernel")
    machine.allocate(100, "movable")
    machine.allocate(7, "unmovable")
    machine.poison(2 * PAGES)
    return machine


@pytest.fixture
def directory(machine, tmp_path):
    export(machine.kernel, tmp_path)
    return tmp_path


# ---- lsmem -----------------------------------------------------------------------------------------


def test_lsmem_lists_every_block(machine, directory):
    expected = [
        line_of(0, 0, "online", "None"),  # ZONE_DMA and ZONE_DMA32
        *(line_of(block, block, "online", "DMA32") for block in (1, 2, 3)),
        line_of(8, 8, "offline", "Normal/Movable"),
        *(line_of(block, block, "online", "Movable") for block in (9, 10)),
        line_of(11, 11, "online", "Normal"),
    ]
    assert lsmem(directory, "--all") == expected
    assert [int(line["BLOCK"]) for line in expected] == sorted(machine.kernel.memory_blocks)


def test_lsmem_joins_neighbours_that_are_alike(directory):
    assert lsmem(directory, "--split", "STATE,ZONES") == [
        line_of(0, 0, "online", "None"),
        line_of(1, 3, "online", "DMA32"),
        line_of(8, 8, "offline", "Normal/Movable"),
        line_of(9, 10, "online", "Movable"),
        line_of(11, 11, "online", "Normal"),
    ]


def test_lsmem_adds_up_what_is_online(directory):
    assert summary(directory) == (BLOCK_BYTES, 7 * BLOCK_BYTES, BLOCK_BYTES)


def test_lsmem_agrees_with_the_machine_after_each_step(machine, tmp_path):
    def states():
        return {int(line["BLOCK"]): line["STATE"] for line in lsmem(tmp_path, "--all")}

    def blocks():
        return {block_id: block.state for block_id, block in machine.kernel.memory_blocks.items()}

    for step in (
        lambda: machine.offline(9),
        lambda: machine.remove_memory(9 * PAGES, PAGES),
        lambda: machine.add_memory(20 * PAGES, PAGES),
        lambda: machine.online(20),
    ):
        step()
        export(machine.kernel, tmp_path)
        assert states() == blocks()


def test_lsmem_knows_blocks_of_other_sizes(tmp_path):
    machine = Machine(ram=[(0, 4 * PAGES)], block_pages=2 * PAGES)
    machine.add_memory(4 * PAGES, 2 * PAGES)
    export(machine.kernel, tmp_path)
    assert summary(tmp_path) == (2 * BLOCK_BYTES, 4 * BLOCK_BYTES, 2 * BLOCK_BYTES)
    assert lsmem(tmp_path, "--all")[-1] == line_of(2, 2, "offline", "Normal/Movable", 2 * BLOCK_BYTES)


def test_a_block_is_seen_on_its_way_offline(machine, tmp_path):
    def look(action, _pfn, _nr_pages):
        if action == "MEM_GOING_OFFLINE":
            export(machine.kernel, tmp_path)

    machine.register_memory_notifier(look)
    machine.offline(9)
    assert [line["STATE"] for line in lsmem(tmp_path, "--all") if line["BLOCK"] == "9"] == ["on->off"]
    block = tmp_path / "sys/devices/system/memory/memory9"
    assert (block / "online").read_text() == "1\n"
    assert (block / "valid_zones").read_text() == "Movable Normal\n"  # as for any block not online


# ---- psutil ----------------------------------------------------------------------------------------


def test_psutil_reads_the_memory_of_the_machine(machine, directory, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(directory / "proc"))
    memory = psutil.virtual_memory()
    assert memory.total == machine.totalram_pages * 4096
    assert memory.free == sum(zone.nr_free_pages for zone in machine.kernel.state.zones) * 4096
    assert memory.active + memory.inactive == 100 * 4096
    assert 0 < memory.available < memory.total
    assert (memory.buffers, memory.shared, memory.slab) == (0, 0, 0)


# ---- page-types ------------------------------------------------------------------------------------


def page_types(directory):
    """Return {names of the bits of a word: pages}, as the kernel's own page-types counts them."""
    text = run("page-types", "--raw", "-F", directory / "proc" / "kpageflags")
    rows = [line.split() for line in text.splitlines() if line.startswith("0x")]
    return {(row[4] if len(row) > 4 else ""): int(row[1]) for row in rows}


# The kernel's own program, built from its source; no package ships it. Where it is, it must agree.
if shutil.which("page-types") is not None:

    def test_page_types_counts_the_pages_of_the_machine(machine, directory):
        vmemmap = "reserved,owner_private" if machine.kernel.patch == BEFORE else "owner_private"
        managed = 4 * PAGES + 3 * (PAGES - 512)
        assert page_types(directory) == {
            "nopage": 12 * PAGES - managed - 3 * 512,
            vmemmap: 3 * 512,
            "buddy": managed - 108,
            "lru": 100,
            "": 7,
            "hwpoison": 1,
        }


# ---- the files themselves --------------------------------------------------------------------------


def test_proc_holds_what_the_functions_return(machine, directory):
    kernel, proc = machine.kernel, directory / "proc"
    for function in (zoneinfo, buddyinfo, pagetypeinfo, iomem):
        assert (proc / function.__name__).read_text() == function(kernel)
    flags = np.fromfile(proc / "kpageflags", np.uint64)
    assert np.array_equal(flags, kpageflags(kernel, 0, 12 * PAGES))
    assert flags[5 * PAGES] == 1 << 20  # where nothing is the file says so: a hole would read as 0
    counts = np.fromfile(proc / "kpagecount", np.uint64)
    assert len(counts) == 12 * PAGES
    assert not counts.any()


def test_sysfs_has_the_kernels_files(machine, directory):
    memory = directory / "sys" / "devices" / "system" / "memory"
    assert (memory / "block_size_bytes").read_text() == "8000000\n"
    assert (memory / "auto_online_blocks").read_text() == "offline\n"
    files = {path.name: path.read_text() for path in (memory / "memory8").iterdir() if path.is_file()}
    assert files == {
        "phys_index": "00000008\n",
        "state": "offline\n",
        "online": "0\n",
        "phys_device": "0\n",
        "removable": "1\n",
        "valid_zones": "Normal Movable\n",
    }
    node = directory / "sys" / "devices" / "system" / "node" / "node0"
    assert (memory / "memory8" / "node0").resolve() == node.resolve()
    assert {path.name for path in node.iterdir()} == {f"memory{nr}" for nr in machine.kernel.memory_blocks}
    assert all((link / "state").is_file() for link in node.iterdir())


def test_the_auto_online_policy_is_shown_and_checked(machine, tmp_path):
    export(machine.kernel, tmp_path, auto_online_blocks="online_movable")
    shown = tmp_path / "sys/devices/system/memory/auto_online_blocks"
    assert shown.read_text() == "online_movable\n"
    with pytest.raises(MemsimError, match="must be one of offline, online,"):
        export(machine.kernel, tmp_path, auto_online_blocks="always")
    assert shown.exists()


def tree_of(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_an_earlier_export_is_replaced_whole(machine, directory):
    (directory / "notes").write_text("mine")
    machine.offline(9)
    machine.remove_memory(9 * PAGES, PAGES)
    export(machine.kernel, str(directory))
    paths = tree_of(directory)
    assert not [path for path in paths if "memory9" in path]
    assert (directory / "notes").read_text() == "mine"


def test_a_new_directory_is_made_with_its_parents(machine, tmp_path):
    export(machine.kernel, tmp_path / "a" / "b")
    assert [group for group, _ in groupby(tree_of(tmp_path), lambda path: path.split("/")[0])] == ["a"]
    assert (tmp_path / "a" / "b" / "proc" / "meminfo").is_file()


@pytest.mark.parametrize("there", ["notes.txt", "proc/meminfo", MARKER])
def test_a_directory_with_other_things_in_it_is_refused(machine, tmp_path, there):
    path = tmp_path / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = tree_of(tmp_path)
    with pytest.raises(MemsimError, match="is not empty and no earlier export"):
        export(machine.kernel, tmp_path)
    assert tree_of(tmp_path) == before
    assert path.read_text() == "mine"


def test_a_file_is_refused(machine, tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(MemsimError, match="is not a directory"):
        export(machine.kernel, path)
    assert path.read_text() == "mine"


def test_a_link_out_of_the_directory_is_not_followed(machine, directory, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "precious").write_text("mine")
    shutil.rmtree(directory / "sys")
    (directory / "sys").symlink_to(elsewhere)
    before = tree_of(directory)
    with pytest.raises(MemsimError, match="symbolic link"):
        export(machine.kernel, directory)
    assert tree_of(directory) == before
    assert (elsewhere / "precious").read_text() == "mine"

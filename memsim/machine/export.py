"""Export a simulated machine as /proc and /sys below a directory, for unmodified programs.

``lsmem --sysroot DIR`` lists its memory blocks, psutil with ``PROCFS_PATH = "DIR/proc"`` reads its meminfo,
the kernel's own ``page-types -F DIR/proc/kpageflags`` counts its pages.

Besides the files of :mod:`memsim.linux.fs.proc` these are meminfo (``fs/proc/meminfo.c``) and what
``drivers/base/memory.c`` and ``drivers/base/node.c`` show in sysfs.

Left out: in meminfo zswap, huge pages and the direct map, and what no simulated machine has is 0 (mappings,
buffers, swap, slab, page tables); in sysfs files that are only written to, ``crash_hotplug``, ``uevent`` and
``power``, memory tiers, and what a node says of its CPUs. One node.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES, MemoryBlock
from memsim.linux.fs.proc import (
    buddyinfo,
    get_max_dump_pfn,
    iomem,
    kpagecount,
    kpageflags,
    pagetypeinfo,
    zoneinfo,
)
from memsim.linux.include.layout import PAGE_SHIFT, PAGES_PER_SECTION
from memsim.linux.mm.memory_hotplug.zones import zone_for_pfn_range
from memsim.linux.mm.show_mem import lru_sizes, si_mem_available

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from memsim.state.kernel import Kernel

FORMAT = "memsim-export/1"
MARKER = ".memsim-export"
"""Marks a directory that :func:`export` wrote and may overwrite."""

MEMINFO = """
    MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon) Inactive(anon)
    Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree Dirty Writeback AnonPages Mapped Shmem
    KReclaimable Slab SReclaimable SUnreclaim KernelStack PageTables SecPageTables NFS_Unstable Bounce
    WritebackTmp CommitLimit Committed_AS VmallocTotal VmallocUsed VmallocChunk Percpu
"""
VMALLOC_TOTAL_KB = (1 << 45 - 10) - 1
"""32 TiB less a byte: page tables of four levels."""


# ---- fs/proc/meminfo.c -----------------------------------------------------------------------------


def meminfo(kernel: Kernel) -> str:
    """Return /proc/meminfo up to the poisoned pages, and in 7.3 the line of the balloons."""
    pages = lru_sizes(kernel)
    cache = pages["Active(file)"] + pages["Inactive(file)"]
    pages["MemTotal"] = kernel.state.totalram_pages
    pages["MemFree"] = sum(zone.nr_free_pages for zone in kernel.state.zones)
    pages["MemAvailable"] = si_mem_available(kernel, cache)
    pages["Cached"] = cache
    pages["Active"] = pages["Active(anon)"] + pages["Active(file)"]
    pages["Inactive"] = pages["Inactive(anon)"] + pages["Inactive(file)"]
    pages["CommitLimit"] = kernel.state.totalram_pages // 2
    kilobytes = {name: pages[name] << PAGE_SHIFT - 10 for name in MEMINFO.split()}
    kilobytes["VmallocTotal"] = VMALLOC_TOTAL_KB
    text = "".join(f"{name + ':':<16}{number:8} kB\n" for name, number in kilobytes.items())
    text += f"HardwareCorrupted: {kernel.num_poisoned_pages << PAGE_SHIFT - 10:5} kB\n"
    if kernel.release.counts_balloon_pages:
        text += f"{'Balloon:':<16}{nr_balloon_pages(kernel) << PAGE_SHIFT - 10:8} kB\n"
    return text


def nr_balloon_pages(kernel: Kernel) -> int:
    """Return NR_BALLOON_PAGES: what the Hyper-V and Xen balloons hold, and virtio-mem does not count in."""
    drivers = kernel.driver_data.values()
    return sum(getattr(each, "num_pages_ballooned", 0) + getattr(each, "balloon_low", 0) for each in drivers)


# ---- drivers/base/memory.c -------------------------------------------------------------------------


def valid_zones(kernel: Kernel, block: MemoryBlock) -> str:
    """Return the zone of a block (``none``: several), or the zones that it may go to, default first."""
    if block.state == "online":
        return block.zone.name if block.zone else "none"
    ways = ("online", "online_kernel", "online_movable")
    zones = [zone_for_pfn_range(kernel, way, block.start_pfn, block.nr_pages).name for way in ways]
    return " ".join(zone for way, zone in enumerate(zones) if way == 0 or zone != zones[0])


def memory_attributes(kernel: Kernel, block: MemoryBlock) -> dict[str, str]:
    """Return the files of /sys/devices/system/memory/memoryN: name -> what is read.

    ``removable`` is 1 wherever memory can be removed at all; the kernel no longer looks at the block.
    """
    return {
        "phys_index": f"{block.block_id:08x}",
        "state": block.state,
        "online": str(int(block.state != "offline")),
        "phys_device": "0",
        "removable": "1",
        "valid_zones": valid_zones(kernel, block),
    }


def memory_root_attributes(kernel: Kernel, auto_online_blocks: str) -> dict[str, str]:
    """Return the files of /sys/devices/system/memory itself."""
    if auto_online_blocks not in ONLINE_TYPES:
        msg = f"auto_online_blocks {auto_online_blocks!r} must be one of {', '.join(ONLINE_TYPES)}"
        raise MemsimError(msg)
    return {
        "block_size_bytes": f"{kernel.block_pages << PAGE_SHIFT:x}",
        "auto_online_blocks": auto_online_blocks,
    }


# ---- the tree --------------------------------------------------------------------------------------


def export(kernel: Kernel, directory: str | os.PathLike[str], auto_online_blocks: str = "offline") -> None:
    """Write the machine's /proc and /sys below ``directory``; an earlier export there is replaced.

    kpageflags takes 8 bytes for every page up to the last, holes too: there the kernel says KPF_NOPAGE,
    which no hole of a file can say. kpagecount, all 0, is one hole.

    Raises
    ------
    MemsimError
        ``directory`` is no directory, or holds something that is not an earlier export. Nothing is written.
    """
    root = Path(directory)
    attributes = memory_root_attributes(kernel, auto_online_blocks)
    prepare(root)
    write_proc(kernel, root / "proc")
    write_sys(kernel, root / "sys" / "devices" / "system", attributes)


def prepare(root: Path) -> None:
    """Turn a directory into an empty export, or refuse it."""
    trees = (root / "proc", root / "sys")
    check_replaceable(root, trees)
    for tree in trees:
        if tree.exists():
            shutil.rmtree(tree)
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).write_text(f"{FORMAT}\n", encoding="ascii")


def check_replaceable(root: Path, trees: Iterable[Path]) -> None:
    """Refuse a file, a directory that is neither empty nor an earlier export, and links to elsewhere."""
    problem = None
    if root.exists() and not root.is_dir():
        problem = "is not a directory"
    elif root.exists() and any(root.iterdir()) and not is_export(root / MARKER):
        problem = f"is not empty and no earlier export (no {MARKER} in it says {FORMAT})"
    elif any(tree.is_symlink() for tree in trees):
        problem = "has a symbolic link instead of proc or sys, which no export makes"
    if problem is not None:
        msg = f"{root} {problem}: nothing was written"
        raise MemsimError(msg)


def is_export(marker: Path) -> bool:
    """Return whether the marker of a directory says that :func:`export` wrote it."""
    return marker.is_file() and marker.read_text(encoding="ascii", errors="replace").startswith(FORMAT)


def write_files(directory: Path, contents: dict[str, str]) -> None:
    """Write small text files into a new directory."""
    directory.mkdir(parents=True)
    for name, text in contents.items():
        (directory / name).write_text(text if text.endswith("\n") else f"{text}\n", encoding="ascii")


def write_proc(kernel: Kernel, proc: Path) -> None:
    """Write the files of /proc."""
    files = (meminfo, zoneinfo, buddyinfo, pagetypeinfo, iomem)
    write_files(proc, {file.__name__: file(kernel) for file in files})
    end = get_max_dump_pfn(kernel)
    with (proc / "kpageflags").open("wb") as out:
        for pfn in range(0, end, PAGES_PER_SECTION):
            out.write(kpageflags(kernel, pfn, PAGES_PER_SECTION).tobytes())
    with (proc / "kpagecount").open("wb") as out:
        out.truncate(kpagecount(kernel, 0, 1).nbytes * end)


def write_sys(kernel: Kernel, system: Path, attributes: dict[str, str]) -> None:
    """Write /sys/devices/system/memory, and /sys/devices/system/node with links between the two."""
    node = system / "node" / "node0"
    write_files(system / "memory", attributes)
    write_files(system / "node", {"online": "0", "possible": "0", "has_memory": "0"})
    node.mkdir()
    for block_id, block in sorted(kernel.memory_blocks.items()):
        name = f"memory{block_id}"
        write_files(system / "memory" / name, memory_attributes(kernel, block))
        (system / "memory" / name / "node0").symlink_to("../../node/node0")
        (node / name).symlink_to(f"../../memory/{name}")

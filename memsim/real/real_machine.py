"""A scenario that boots the same machine as a real one: ``memsim machine --from DIR``.

What was taken from which file is listed, and so is what could not be known or is lost. The simulated
machine is then compared with the real files, its free lists too, though these depend on all that ever ran.
Left out: memory of several nodes apart from each other; pages of other sizes than 4 KiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.arch.x86.mm.init_64 import probe_memory_block_size
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES
from memsim.linux.fs.proc import buddyinfo, iomem, zoneinfo
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.machine.export import memory_attributes
from memsim.real.boot_memory import raised_watermarks, reserve
from memsim.real.proc_files import (
    BlockFacts,
    Files,
    Resource,
    ZoneFacts,
    block_pages_of,
    e820,
    free_blocks,
    hides_addresses,
    mem_total,
    page_size,
    pages_of_parameter,
    parameter,
    resources,
    zones,
)
from memsim.real.real_scenario import RealMachine
from memsim.real.versions import architecture_of, parse_version
from memsim.release import RELEASES
from memsim.scenario.scenario import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memsim.machine.machine import Machine

PAGE_KIB = 4
MOST_STEPS = 4096
_UNKNOWN_PLACES = (
    "where boot code keeps memory: here from the top down, and the rest at the ends of zones",
    "which pages are free or in use: what boot code did not keep is free on the simulated machine",
)


def real_machine(files: Files) -> RealMachine:
    """Return a scenario that boots the machine of some files.

    Raises
    ------
    MemsimError
        Nothing says where its RAM is, or it has pages of another size than 4 KiB.
    """
    found = RealMachine({"format": FORMAT, "title": "", "machine": {}, "steps": []}, "")
    found.unknown += files.problems
    _refuse_other_pages(files)
    ram = _ram(files, found)
    _nodes(files, found)
    _version(files, found)
    _block_size(files, found, ram)
    added = _hotplugged(files, found, ram)
    boot = _without(ram, added, found.document["machine"]["block_pages"])
    found.document["machine"]["ram"] = [[r.start_pfn, r.nr_pages] for r in boot]
    _zone_movable(files, found, sum(r.nr_pages for r in boot))
    reserve(files, found, boot)
    _policy(files, found)
    found.document["title"] = f"A real machine with {sum(r.nr_pages for r in ram) >> 8} MiB of RAM"
    found.unknown += _UNKNOWN_PLACES
    raised = raised_watermarks(files)
    if raised is not None:
        found.lost.append(f"khugepaged: it raised vm.min_free_kbytes to {raised}, and with it all watermarks")
    else:
        found.unknown.append("whether a user set vm.min_free_kbytes, which moves all watermarks")
    return found


def _refuse_other_pages(files: Files) -> None:
    size = page_size(files)
    if size is not None and size != PAGE_KIB:
        msg = (
            f"the machine has pages of {size} KiB (zoneinfo beside meminfo); the simulator models 4 KiB only"
        )
        raise MemsimError(msg)


def _ram(files: Files, found: RealMachine) -> list[Resource]:
    """Return the ranges of RAM, from iomem or from the e820 map."""
    if hides_addresses(files.get("iomem")):
        found.unknown.append(f"addresses in {files.places['iomem']}: only root sees them")
    elif ram := resources(files.get("iomem")):
        found.taken.append(f"{len(ram)} ranges of RAM from {files.places['iomem']}")
        return ram
    if ram := e820(files.get("e820")):
        found.taken.append(f"{len(ram)} ranges of RAM from the e820 map in {files.places['e820']}")
        found.unknown.append("what boot code took from the e820 map (crash kernel, firmware tables)")
        return ram
    if files.blocks and (size := block_pages_of(files)):
        runs = _runs(files.blocks, size)
        found.taken.append(f"{len(runs)} ranges of RAM from the memory blocks in {files.places['blocks']}")
        found.unknown.append("holes inside memory blocks")
        return runs
    hint = "; read iomem as root" if hides_addresses(files.get("iomem")) else ""
    msg = f"nothing says where the RAM is: there must be iomem, an e820 map in dmesg, or memory blocks{hint}"
    raise MemsimError(msg)


def _runs(blocks: dict[int, BlockFacts], size: int) -> list[Resource]:
    """Return neighbouring memory blocks as ranges."""
    runs = []
    for _, group in groupby(enumerate(sorted(blocks)), key=lambda pair: pair[1] - pair[0]):
        numbers = [block for _, block in group]
        runs.append(Resource(numbers[0] * size, len(numbers) * size, "System RAM"))
    return runs


def _nodes(files: Files, found: RealMachine) -> None:
    nodes = {zone.node for zone in zones(files.get("zoneinfo"))}
    if len(nodes) > 1:
        found.lost.append(
            f"{len(nodes)} NUMA nodes: all memory is on node 0, and zones of one name are one zone"
        )


def _version(files: Files, found: RealMachine) -> None:
    """Choose the modelled release that is nearest and not newer."""
    text = files.get("version") or files.get("e820")
    version = parse_version(text.partition("Linux version")[2] or text) if text else None
    known = sorted(RELEASES, key=lambda name: parse_version(name) or (0, 0))
    older = [name for name in known if version is not None and (parse_version(name) or (0, 0)) <= version]
    found.release = older[-1] if older else known[0] if version is not None else "6.12"
    if version is None:
        found.unknown.append(f"the kernel version: {found.release} stands in")
        return
    name = ".".join(map(str, version))
    found.taken.append(f"kernel {name} from {files.places.get('version') or files.places['e820']}")
    if name != found.release:
        found.lost.append(f"what Linux {name} does differently from {found.release}, which stands in for it")
    if (architecture := architecture_of(text)) not in {None, "x86-64"}:
        found.lost.append(f"the architecture {architecture}: zones are those of x86-64")


def _block_size(files: Files, found: RealMachine, ram: list[Resource]) -> None:
    machine, size = found.document["machine"], block_pages_of(files)
    usable = size is not None and size >= PAGES_PER_SECTION and not size & (size - 1)
    if size is not None and usable:
        machine["block_pages"] = size
        place = files.places.get("block_size_bytes") or files.places["lsmem"]
        found.taken.append(f"memory blocks of {size >> 8} MiB from {place}")
        return
    machine["block_pages"] = probe_memory_block_size(ram[-1].start_pfn + ram[-1].nr_pages)
    if size is not None:
        found.lost.append(f"memory blocks of {size >> 8} MiB: x86-64 has 128 MiB at least")
    else:
        found.unknown.append(
            f"the size of memory blocks: {machine['block_pages'] >> 8} MiB, as the kernel would choose"
        )


def _hotplugged(files: Files, found: RealMachine, ram: list[Resource]) -> set[int]:
    """Make steps for blocks that cannot be boot memory, and return their numbers.

    That is RAM with the name of a driver, and blocks in ZONE_MOVABLE if no parameter makes it at boot.
    """
    size, cmdline = found.document["machine"]["block_pages"], files.get("cmdline")
    driver = {
        block: r.name
        for r in ram
        if r.name != "System RAM"
        for block in range(r.start_pfn // size, -(-(r.start_pfn + r.nr_pages) // size))
    }
    at_boot = (
        any(parameter(cmdline, name) for name in ("movablecore", "kernelcore")) or "movable_node" in cmdline
    )
    movable = {block for block, facts in files.blocks.items() if facts.zone == "Movable" and not at_boot}
    added = {block for block in driver.keys() | movable if any(_covers(r, block, size) for r in ram)}
    for name in sorted({driver[block] for block in added & driver.keys()}):
        found.lost.append(f"the device behind {name!r}: its memory is plugged as DIMMs")
    offline = [
        block for block, facts in files.blocks.items() if facts.state == "offline" and block not in added
    ]
    found.document["steps"] += [{"do": "offline", "block": block} for block in offline[:MOST_STEPS]]
    _add_steps(files, found, added, movable)
    if added or offline:
        found.taken.append(
            f"{len(added)} hot-added and {len(offline)} offline blocks from "
            f"{files.places.get('blocks', 'iomem')}"
        )
    return added


def _covers(resource: Resource, block: int, size: int) -> bool:
    return resource.start_pfn <= block * size and (block + 1) * size <= resource.start_pfn + resource.nr_pages


def _add_steps(files: Files, found: RealMachine, added: set[int], movable: set[int]) -> None:
    size, steps = found.document["machine"]["block_pages"], found.document["steps"]
    for run in _runs({block: BlockFacts("") for block in added}, size):
        steps.append({"do": "add_memory", "start_pfn": run.start_pfn, "nr_pages": run.nr_pages})
    for block in sorted(added)[:MOST_STEPS]:
        if files.blocks.get(block, BlockFacts("online")).state == "online":
            how = "online_movable" if block in movable else "online_kernel"
            steps.append({"do": "online", "block": block, "type": how})


def _without(ram: list[Resource], added: set[int], size: int) -> list[Resource]:
    """Return RAM without the hot-added blocks."""
    left: list[Resource] = []
    for resource in ram:
        start, end = resource.start_pfn, resource.start_pfn + resource.nr_pages
        for block in range(start // size, -(-end // size)):
            if block in added:
                if block * size > start:
                    left.append(Resource(start, block * size - start, resource.name))
                start = min((block + 1) * size, end)
        if end > start:
            left.append(Resource(start, end - start, resource.name))
    if not left:
        msg = "all memory is hot-added, so nothing is left to boot from"
        raise MemsimError(msg)
    return left


def _zone_movable(files: Files, found: RealMachine, total: int) -> None:
    """Take what ``kernelcore=`` and ``movablecore=`` say."""
    cmdline, machine = files.get("cmdline"), found.document["machine"]
    for name in ("kernelcore", "movablecore"):
        text = parameter(cmdline, name)
        if text is None:
            continue
        pages = pages_of_parameter(text, total)
        if pages is None:
            found.lost.append(f"{name}={text}: it is not modelled")
        else:
            machine[f"{name}_pages"] = pages
            found.taken.append(f"{name} of {pages} pages from {files.places['cmdline']}")
    if "movable_node" in cmdline.split():
        found.lost.append("movable_node: hotpluggable boot memory is not in ZONE_MOVABLE here")


def _policy(files: Files, found: RealMachine) -> None:
    """Take what happens to added blocks, and whether they hold their own struct pages."""
    machine, cmdline = found.document["machine"], files.get("cmdline")
    online = files.get("auto_online_blocks").strip() or parameter(cmdline, "memhp_default_state") or ""
    if online in ONLINE_TYPES:
        machine["default_online_type"] = online
        found.taken.append(
            f"default_online_type {online} from {files.places.get('auto_online_blocks', 'cmdline')}"
        )
    else:
        found.unknown.append("what happens to added blocks: they stay offline")
    switch = (
        files.get("memmap_on_memory").strip() or parameter(cmdline, "memory_hotplug.memmap_on_memory") or ""
    )
    if switch.upper() in {"Y", "1", "ON", "FORCE"}:
        machine["memmap_on_memory"] = True
        found.taken.append("memmap_on_memory")


# ---- the simulated machine beside the real one -----------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what, on the real machine, on the simulated one."""

    what: str
    real: str
    simulated: str


def differences(files: Files, machine: Machine) -> list[Difference]:
    """Return where the files of a real machine and of the simulated one differ."""
    kernel = machine.kernel
    rows = [("RAM in iomem", _ranges(resources(files.get("iomem"))), _ranges(resources(iomem(kernel))))]
    rows += _zone_rows(zones(files.get("zoneinfo")), zones(zoneinfo(kernel)))
    rows += _free_rows(free_blocks(files.get("buddyinfo")), free_blocks(buddyinfo(kernel)))
    total = mem_total(files.get("meminfo"))
    rows.append(
        ("MemTotal in kB", "" if total is None else str(total), str(kernel.state.totalram_pages * PAGE_KIB))
    )
    blocks = {
        number: memory_attributes(kernel, block) for number, block in sorted(kernel.memory_blocks.items())
    }
    if files.blocks:
        rows += _block_rows(files.blocks, blocks)
    return [Difference(*row) for row in rows if row[1] and row[1] != row[2]]


def _ranges(found: Iterable[Resource]) -> str:
    return " ".join(f"[{r.start_pfn:#x}, {r.nr_pages} pages]" for r in found)


def _zone_rows(real: list[ZoneFacts], simulated: list[ZoneFacts]) -> list[tuple[str, str, str]]:
    """Return what zones have in pages; free pages are left out, as nothing runs on the simulated machine."""
    mine = {zone.name: zone.numbers for zone in simulated}
    rows = []
    for name in dict.fromkeys(zone.name for zone in real):
        same = [zone.numbers for zone in real if zone.name == name and zone.numbers.get("present", 0)]
        for key, join in _JOINS.items():
            values = [numbers[key] for numbers in same if key in numbers]
            if values and name in mine:
                rows.append((f"zone {name}: {key}", str(join(values)), str(mine[name].get(key, 0))))
    return rows


_JOINS: dict[str, Callable[[list[int]], int]] = {
    "start_pfn": min,
    "present": sum,
    "managed": sum,
    "spanned": sum,
    "min": sum,
    "low": sum,
    "high": sum,
}
"""How the numbers of a zone on several nodes become one number."""


def _free_rows(real: dict[str, list[int]], simulated: dict[str, list[int]]) -> list[tuple[str, str, str]]:
    """Return the free blocks of each zone and order, the pages that they are among them."""
    return [
        (
            f"zone {name}: free blocks of order 0 to {len(counts) - 1} (what runs on a machine takes memory)",
            _counts(counts),
            _counts(simulated.get(name, [])),
        )
        for name, counts in real.items()
    ]


def _counts(counts: list[int]) -> str:
    pages = sum(count << order for order, count in enumerate(counts))
    return f"{' '.join(map(str, counts))} ({pages} pages)" if counts else ""


def _block_rows(
    real: dict[int, BlockFacts], simulated: dict[int, dict[str, str]]
) -> list[tuple[str, str, str]]:
    rows = []
    for block in sorted(real.keys() | simulated.keys()):
        one, other = real.get(block, BlockFacts("absent")), simulated.get(block, {"state": "absent"})
        rows.append((f"memory block {block}: state", one.state, other["state"]))
        if one.zone:
            rows.append((f"memory block {block}: zone", one.zone, other.get("valid_zones", "")))
    return rows

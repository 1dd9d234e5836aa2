"""Real kernels and the simulator, side by side: ``make lab``.

    python -m tests.lab --kernel 7.3 --seeds 20            random scripts on Debian's newest 7.3
    python -m tests.lab --image /boot/vmlinuz-6.17.0 --record mine.json
                                                           record a kernel of your own

Each script runs in QEMU on an unmodified kernel. The lab stops the kernel where memory blocks change, and
reads every struct page from outside. Then the simulator runs the same script, and every page is compared.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.recordings.verify import Verification, verify
from tests.lab import debian, initramfs
from tests.lab.errors import LabError
from tests.lab.guest import Boot, Guest, accelerator, is_current
from tests.lab.layout import Layout, layout_of_image
from tests.lab.scripts import Abilities, Plan, plan_of, story
from tests.lab.session import SYSFS, Session, write

if TYPE_CHECKING:
    from memsim.recordings.observation import Observation

FOLDER = Path("build/lab")
PMEM_RANGE = "memmap=128M!512M"
"""Makes a range of boot memory persistent memory (section 4, after 512 MiB)."""
PMEM_RAM_MIB = 768
MOST_EMPTY, APART = 5, 1_000_000
"""How many scripts in a row may compare nothing, and how far from a seed the one is that replaces it."""
NOT_HERE = "Hyper-V and Xen (they need a hypervisor below the guest)"


@dataclass(frozen=True)
class Kernel:
    """A kernel that is ready to boot."""

    name: str
    image: Path
    initramfs: Path
    modules: tuple[str, ...]
    layout: Layout
    folder: Path

    def guest(self, *, memmap_on_memory: bool = False, pmem: bool = False) -> Guest:
        """Return a guest that has just booted: from the saved state if there is one."""
        kind = "memmap_on_memory" if memmap_on_memory else "pmem" if pmem else "plain"
        extra = "memory_hotplug.memmap_on_memory=1" if memmap_on_memory else PMEM_RANGE if pmem else ""
        modules = tuple(name for name in self.modules if name not in initramfs.LATE)
        sizes = {"ram_mib": PMEM_RAM_MIB} if pmem else {}
        boot = Boot(self.image, self.initramfs, modules, extra, **sizes)
        saved = self.folder / f"{kind}.state"
        if not is_current(saved):
            print(
                f"booting {self.name} ({kind}, {accelerator()}): once, a minute or so without KVM", flush=True
            )
            with Guest(boot) as guest:
                guest.save(saved)
        return Guest(boot, saved)


def prepare(options: argparse.Namespace) -> Kernel:
    """Fetch or find the kernel, read its layout, build its initramfs."""
    if options.image:
        image = Path(options.image)
        if not image.is_file():
            msg = f"{image}: there is no such kernel image"
            raise LabError(msg)
        modules = Path(options.modules or f"/lib/modules/{image.name.removeprefix('vmlinuz-')}")
        files = debian.KernelFiles(image, modules if modules.is_dir() else None)
        folder = FOLDER / image.name
    else:
        files = debian.fetch(options.kernel, FOLDER)
        folder = FOLDER / f"state-{options.kernel}"
    folder.mkdir(parents=True, exist_ok=True)
    layout = layout_of_image(files.image, folder / "layout.json")
    archive = folder / "initramfs.cpio.gz"
    names = initramfs.build(files.modules, archive)
    name = options.image or f"Debian's {options.kernel}"
    return Kernel(name, files.image, archive, tuple(names), layout, folder)


def abilities(kernel: Kernel) -> Abilities:
    """Ask a booted guest what it can do."""
    with kernel.guest() as guest:
        builtin = guest.run("ls /sys/bus/virtio/drivers")[0].split()
        poison = guest.run(f"test -e {SYSFS}/hard_offline_page")[1] == 0
        hosting = guest.run("test -e /sys/module/memory_hotplug/parameters/memmap_on_memory")[1] == 0
        pins = guest.run("mkdir /mnt/t && mount -t tmpfs -o mpol=prefer:0 t /mnt/t && umount /mnt/t")[1] == 0
    pmem = {"nd_pmem", "nd_e820"} <= set(kernel.modules)
    return Abilities("virtio_mem" in builtin, hosting, poison, pmem, pins)


def record(kernel: Kernel, plan: Plan, path: Path, steps: list[tuple[object, ...]] | None = None) -> None:
    """Run a script and write the recording."""
    with kernel.guest(memmap_on_memory=plan.memmap_on_memory, pmem=plan.pmem) as guest:
        session = Session(guest, kernel.layout, plan)
        session.run(steps)
        write(session.document(path.stem), path)


def problems(found: Verification) -> list[str]:
    """Return a line for each difference."""
    return [
        f"    step {result.step} {result.at}: {problem}"
        for replay in found.replays
        for result in replay.results
        for problem in result.problems
    ]


def exactness(recording: Observation) -> tuple[int, int]:
    """Return how many block states of a recording are exact, and how many there are."""
    seen = [block for probe in recording.probes for block in probe["blocks"].values() if "pages" in block]
    return sum(block.get("exact", True) for block in seen), len(seen)


@dataclass
class Totals:
    """What has been compared so far."""

    scripts: int = 0
    pages: int = 0
    differ: int = 0
    disagree: int = 0
    broken: int = 0
    exact: int = 0
    blocks: int = 0

    def add(self, found: Verification) -> None:
        """Count one script that compared something."""
        self.scripts += 1
        self.pages += found.pages
        self.differ += found.differ
        self.disagree += not found.agrees
        for replay in found.replays:
            exact, blocks = exactness(replay.observation)
            self.exact += exact
            self.blocks += blocks

    def line(self, kernel: str) -> str:
        """Return the summary."""
        return (
            f"{kernel}: {self.scripts} scripts, {self.pages:,} pages compared, {self.differ:,} differ; "
            f"{self.disagree} scripts with a difference, {self.broken} that could not be run; "
            f"{self.exact} of {self.blocks} block states exact, in the others the guest used pages"
        )


def run_seeds(kernel: Kernel, seeds: range) -> Totals:
    """Run a script for each seed, compare it, and say how long the rest takes."""
    can = abilities(kernel)
    print("not run here: " + "; ".join([*can.missing(), NOT_HERE]), flush=True)
    totals, start = Totals(), time.monotonic()
    folder = kernel.folder / "recordings"
    folder.mkdir(exist_ok=True)
    for done, first in enumerate(seeds, 1):
        try:
            seed, path, found = first_that_compares(kernel, can, first, folder)
        except LabError as problem:
            totals.broken += 1
            print(f"[{done}/{len(seeds)}] seed {first}: not run: {problem}", flush=True)
            continue
        totals.add(found)
        left = (time.monotonic() - start) / done * (len(seeds) - done)
        outcome = "agrees" if found.agrees else f"DIFFERS ({path})"
        print(
            f"[{done}/{len(seeds)}] seed {seed}: {found.probes} probes, {found.pages:,} pages, {outcome}; "
            f"{left / 60:.0f} min left",
            flush=True,
        )
        for line in problems(found)[:8]:
            print(line, flush=True)
    return totals


def first_that_compares(
    kernel: Kernel, can: Abilities, seed: int, folder: Path
) -> tuple[int, Path, Verification]:
    """Run the script of a seed; one that comes to compare no page is replaced by that of another seed."""
    for instead in range(seed, seed + MOST_EMPTY * APART, APART):
        path = folder / f"seed-{instead}.json"
        path.unlink(missing_ok=True)
        record(kernel, plan_of(instead, can), path)
        found = verify(path)
        if found.pages or not found.agrees:
            return instead, path, found
        print(f"    seed {instead} compares no page: another script instead", flush=True)
    msg = f"{MOST_EMPTY} scripts in a row compare no page"
    raise LabError(msg)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(
        prog="make lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument(
        "--kernel", default="6.12", help="a release or version that Debian has: 6.1, 6.12, 7.3, 6.12.95"
    )
    command.add_argument("--seeds", type=int, default=3, help="how many random scripts (default: 3)")
    command.add_argument("--first", type=int, default=1, help="the first seed (default: 1)")
    command.add_argument("--image", help="a kernel image of your own (bzImage, vmlinuz) instead")
    command.add_argument("--modules", help="its modules (default: /lib/modules/ and the image's version)")
    command.add_argument("--record", type=Path, help="record one fixed script, and write it to this file")
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the lab; 1 when something differs or could not be run."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that QEMU ends with us
    try:
        kernel = prepare(options)
        if options.record:
            plan, steps = story(abilities(kernel))
            record(kernel, plan, options.record, steps)
            print(f"recorded in {options.record}; compare with: python -m memsim verify {options.record}")
            return 0
        totals = run_seeds(kernel, range(options.first, options.first + options.seeds))
    except LabError as problem:
        print(f"make lab: {problem}", file=sys.stderr)
        return 2
    print(totals.line(kernel.name))
    return 1 if totals.disagree or totals.broken else 0


if __name__ == "__main__":
    sys.exit(main())

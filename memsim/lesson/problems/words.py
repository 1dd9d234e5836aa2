"""Problems on the words that a page is written in: page_type in two encodings, and kpageflags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.lesson.problems.machines import BLOCK, SIDES, START, with_hyper_v, with_virtio_mem
from memsim.lesson.problems.problem import Answer, Task
from memsim.linux.fs.proc import kpageflags
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.page_flags import NO_TYPE, PageType
from memsim.machine.machine import Machine
from memsim.release import release_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.lesson.problems.draw import Draw
    from memsim.patch import Patch

_TYPES = [kind for kind in PageType if kind is not PageType.NONE]
_HOW = {
    "6.1": "as bits that are cleared to set a type: Buddy 0x80, Offline 0x100, Table 0x200, Guard 0x400",
    "6.12": "as a number in the top byte: Buddy 0xf0, Offline 0xf1, Table 0xf2, Guard 0xf3",
}
_BITS = "BUDDY 10, DIRTY 4, NOPAGE 20, OFFLINE 23, RESERVED 32, OWNER_PRIVATE 37"


def page_type(draw: Draw) -> Task:
    """Ask which word page_type is, and which type a word is."""
    release = draw.choice(sorted(_HOW))
    encoding = release_named(release).encoding
    kinds = draw.sample(_TYPES, 2)
    types = kinds if encoding.inverted and draw.choice([False, True]) else kinds[:1]
    asked = " and ".join(kind.value.title() for kind in types)
    word = hex(encoding.page_type(encoding.code(kinds[1])))

    def solve() -> dict[str, Answer]:
        stored = NO_TYPE
        for kind in types:
            stored = encoding.set(stored, kind)
        (found,) = [kind for kind in _TYPES if hex(encoding.page_type(encoding.code(kind))) == word]
        return {
            f"page_type of a page of type {asked}": hex(encoding.page_type(stored)),
            "page_type of a page without a type": hex(encoding.page_type(NO_TYPE)),
            f"type of a page whose page_type is {word}": found.value.title(),
        }

    return Task(
        f"Kernel {release} keeps the type of a page in the 32 bits of `page_type`, {_HOW[release]}.",
        (
            f"page_type of a page of type {asked}",
            "page_type of a page without a type",
            f"type of a page whose page_type is {word}",
        ),
        {"release": release, "types": [kind.value for kind in types], "word": word},
        solve,
        "include/linux/page-flags.h",
    )


# ---- kpageflags ------------------------------------------------------------------------------------


def free_head(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and the head of a free block."""
    machine = Machine(patch=patch)
    machine.add_memory(START, PAGES_PER_SECTION)
    machine.online(BLOCK, "online_movable")
    return machine, START


def not_online(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and a page of a block that was added only."""
    machine = Machine(patch=patch)
    machine.add_memory(START, PAGES_PER_SECTION)
    return machine, START


def boot_code(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and a page that memblock kept for the kernel itself."""
    return Machine(patch=patch, reserved=[(0x1000, 16)]), 0x1000


def self_hosted(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and a page that holds struct pages of its own block."""
    machine = Machine(patch=patch, memmap_on_memory=True)
    machine.add_memory(START, PAGES_PER_SECTION)
    machine.online(BLOCK, "online_movable")
    return machine, START


def unplugged(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and a page that virtio-mem withholds."""
    return with_virtio_mem(32, patch), START + PAGES_PER_SECTION - 1


def not_backed(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and a page of a hot-added block that Hyper-V does not back."""
    return with_hyper_v(1024, patch), START + PAGES_PER_SECTION - 1


def of_no_region(patch: Patch) -> tuple[Machine, int]:
    """Return a machine and a page of a DIMM in a Hyper-V guest."""
    machine = Machine(patch=patch, devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.add_memory(START, PAGES_PER_SECTION)
    machine.online(BLOCK, "online_movable")
    return machine, START


PAGES: dict[str, Callable[[Patch], tuple[Machine, int]]] = {
    "the first page of a free block": free_head,
    "a page of a memory block that is added but not online": not_online,
    "a page that memblock reserved at boot": boot_code,
    "a page of an online block that holds struct pages of this block": self_hosted,
    "a page of an online block that virtio-mem has not plugged, and never had": unplugged,
    "a page of an online block that Hyper-V does not back": not_backed,
    "a page of an online DIMM that the Hyper-V driver withholds, since no host announced it": of_no_region,
}


def kpageflags_word(draw: Draw) -> Task:
    """Ask what /proc/kpageflags shows for a page."""
    pages = draw.sample(list(PAGES), 2)
    side = draw.choice(sorted(SIDES))

    def solve() -> dict[str, Answer]:
        made = {page: PAGES[page](SIDES[side]) for page in pages}
        return {page: hex(kpageflags(machine.kernel, pfn, 1)[0]) for page, (machine, pfn) in made.items()}

    return Task(
        f"Which word does /proc/kpageflags of Linux 6.12 show, {side} the patch? Bits that matter: {_BITS}.",
        tuple(pages),
        {"pages": pages, "side": side},
        solve,
        "stable_page_flags(), fs/proc/page.c",
    )

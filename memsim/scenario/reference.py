"""The meaning of every key of a scenario, and a page of all of them for the web site.

A key that is missing here makes a test fail, so that the page is complete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.devices import DEVICE_KINDS
from memsim.linux.drivers.base.memory.blocks import ONLINE_TYPES
from memsim.scenario.steps import STEPS, Argument

if TYPE_CHECKING:
    from collections.abc import Iterable

MACHINE = {
    "ram": "boot memory: a list of [start_pfn, nr_pages]",
    "reserved": "boot memory that boot code keeps: a list of [start_pfn, nr_pages]; the rest is free",
    "boot_reservations": (
        "whether the kernel also keeps what a real one keeps of boot memory: its image, the struct pages of "
        "boot memory (1/64 of it), hash tables, per-CPU areas, bounce buffers (default: false). Without it "
        "only `reserved` is kept, MemTotal is too large, and a hot-add that fails on a real machine with "
        "ENOMEM may work here"
    ),
    "crashkernel_pages": "with `boot_reservations`: the pages that `crashkernel=` sets aside (default: 0)",
    "kernelcore_pages": (
        "boot memory that stays outside of ZONE_MOVABLE, as with `kernelcore=` (default: 0, all of it)"
    ),
    "movablecore_pages": "boot memory that goes to ZONE_MOVABLE, as with `movablecore=` (default: 0)",
    "block_pages": "pages of a memory block: a power of two of at least 32768; without it the kernel chooses",
    "default_online_type": f"what becomes of added blocks: {', '.join(ONLINE_TYPES)} (default: offline)",
    "memmap_on_memory": "whether added blocks hold their own struct pages where they can (default: false)",
    "debug_vm": "whether the checks of CONFIG_DEBUG_VM are compiled in (default: false)",
    "check_pages": "whether the page allocator checks pages that it frees and hands out (default: true)",
    "devices": "devices whose drivers give parts of memory blocks: a list of objects",
}
"""Keys of ``machine``."""

MEANINGS = {
    "start_pfn": "the first pfn",
    "nr_pages": "how many pages",
    "block": "the number of a memory block",
    "type": (
        f"how to online it: {', '.join(kind for kind in ONLINE_TYPES if kind != 'offline')} (default: online)"
    ),
    "migratetype": "unmovable, movable or reclaimable (default: movable)",
    "seconds": "simulated seconds",
    "pfns": "the pages",
    "device": "the name of a device of the machine",
    "requested_pages": "how many pages the host asks the device to plug",
    "target_pages": "how many pages the guest shall have",
    "kind": "of device memory: fs_dax (default, persistent memory), generic, private or coherent",
    "answer": "what the host will answer, in the words of the device's protocol",
    "times": "to how many requests",
    "what": "what happened, in words",
    "errno": "the errno that the step must end with, such as EBUSY; without it the step must succeed",
    "region_pages": "the size of the device's region",
    "device_block_pages": "the unit in which the device plugs and unplugs",
    "usable_region_pages": "the part of the region that may be plugged now (default: all of it)",
    "plugged_pages": "what is plugged when the driver starts (default: 0)",
    "hotplug_start_pfn": "where the balloon adds memory",
    "extra_start_pfn": "first pfn of boot memory that the guest does not have at first",
    "extra_pages": "how many pages of it there are",
}
"""Keys of steps and devices."""

STEP_MEANINGS = {
    "add_memory": "Plug a DIMM: add a range of memory, in whole memory blocks.",
    "remove_memory": "Unplug a DIMM whose blocks are offline.",
    "online": "Write `online`, `online_kernel` or `online_movable` to the block's state in sysfs.",
    "offline": "Write `offline` to the block's state in sysfs.",
    "allocate": "Allocate single pages, in one block or anywhere.",
    "free": (
        "Free pages that earlier `allocate` steps took, the newest first; without `nr_pages` all of them."
    ),
    "wait": "Let simulated time pass: timers fire, threads wake.",
    "pin": "Allocate a movable page of a block and hold a reference to it: it cannot be migrated.",
    "unpin": "Let go of the pages that `pin` steps hold; of one block, or of all.",
    "poison": "Declare pages broken: `memory_failure()`.",
    "memremap_pages": "Map device memory, as a driver of persistent memory does.",
    "virtio_mem_request": "The host asks a virtio-mem device for another size.",
    "virtio_mem_remove": "Unbind the driver of a virtio-mem device.",
    "hv_hot_add": "The Hyper-V host adds memory.",
    "hv_inflate": "The Hyper-V host takes pages from the guest.",
    "hv_deflate": "The Hyper-V host gives pages back; without `nr_pages` all of them.",
    "xen_balloon_target": "Write another target to the Xen balloon.",
    "xen_balloon_lend": "The Xen balloon hands pages to a backend driver, which maps foreign memory there.",
    "xen_balloon_take_back": "The backend driver returns pages, oldest first; without `nr_pages` all.",
    "host_will": "Decide what the host answers to the next requests of a device.",
    "outside": "Nothing: a note of what happened on a recorded machine beside memory hotplug.",
}
"""What each step does."""

INTRODUCTION = """\
# Scenario reference

A scenario is a JSON file: a machine, and the steps that are taken on it. `memsim run FILE` runs it, `memsim
new`
writes a commented example to start with, and `memsim new --schema` prints a JSON schema for editors
([scenario.schema.json](scenario.schema.json)).

A number is a pfn or a number of pages. It may be written as a decimal number, as a hexadecimal string
(`"0x100000"`), or as a string with a unit (`"4G"`, `"128M"`), which is an address or a size in bytes and
must be a
whole number of pages of 4 KiB. Every object may have a `comment`, which has no effect.

```json
{"format": "memsim-scenario/1",
 "title": "One DIMM",
 "machine": {"ram": [[0, "512M"]]},
 "steps": [{"do": "add_memory", "start_pfn": "4G", "nr_pages": "128M"},
           {"do": "online", "block": 32, "type": "online_movable"}]}
```
"""


def reference_page() -> str:
    """Return the page of all keys and steps, as Markdown."""
    parts = [
        INTRODUCTION,
        "## The machine\n",
        _rows(("Key", "Meaning"), [(f"`{key}`", meaning) for key, meaning in MACHINE.items()]),
        "## Devices\n",
    ]
    for name, kind in DEVICE_KINDS.items():
        keys = [*kind.required, *kind.optional]
        rows = [("`name`", "yes", "what steps call the device")]
        rows += [(f"`{key}`", "yes" if key in kind.required else "no", MEANINGS[key]) for key in keys]
        parts += [f"### `{name}`\n", _rows(("Key", "Required", "Meaning"), rows)]
    parts.append("## Steps\n\nEvery step may have `errno`: " + MEANINGS["errno"] + ".\n")
    for name, step in STEPS.items():
        parts += [f"### `{name}`\n", f"{STEP_MEANINGS[name]}\n"]
        parts.append(
            _rows(("Key", "Required", "Meaning"), [_argument(argument) for argument in step.arguments])
        )
    return "\n".join(parts)


def _argument(argument: Argument) -> tuple[str, str, str]:
    return f"`{argument.name}`", "no" if argument.optional else "yes", MEANINGS[argument.name]


def _rows(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

"""Commented scenarios to start from, one for each way that memory comes and goes: ``memsim new KIND``."""

from __future__ import annotations

import json
from typing import Any

from memsim.errors import MemsimError
from memsim.scenario.scenario import FORMAT

_BOOT = {
    "comment": '512 MiB of boot memory, from address 0. Free unless "boot_reservations" is true.',
    "ram": [[0, "512M"]],
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "dimm": {
        "title": "A DIMM is plugged, used and unplugged",
        "machine": _BOOT,
        "steps": [
            {
                "comment": "256 MiB at 4 GiB: memory blocks 32 and 33 of 128 MiB.",
                "do": "add_memory",
                "start_pfn": "4G",
                "nr_pages": "256M",
            },
            {
                "comment": "Movable, so that it can go again.",
                "do": "online",
                "block": 32,
                "type": "online_movable",
            },
            {"do": "online", "block": 33, "type": "online_kernel"},
            {"do": "allocate", "block": 33, "nr_pages": 1, "migratetype": "unmovable"},
            {"comment": "The kernel's page cannot move.", "do": "offline", "block": 33, "errno": "EBUSY"},
            {"do": "offline", "block": 32},
        ],
    },
    "virtio-mem": {
        "title": "A virtio-mem device grows and shrinks",
        "machine": {
            **_BOOT,
            "default_online_type": "online_movable",
            "devices": [
                {
                    "comment": (
                        "A region of 1 GiB at 4 GiB, plugged in units of 2 MiB; nothing is plugged at first."
                    ),
                    "kind": "virtio-mem",
                    "name": "vm0",
                    "start_pfn": "4G",
                    "region_pages": "1G",
                    "device_block_pages": "2M",
                }
            ],
        },
        "steps": [
            {
                "comment": "192 MiB: one whole memory block and half of the next.",
                "do": "virtio_mem_request",
                "device": "vm0",
                "requested_pages": "192M",
            },
            {"do": "virtio_mem_request", "device": "vm0", "requested_pages": "64M"},
        ],
    },
    "hv-balloon": {
        "title": "A Hyper-V host adds memory and takes some back",
        "machine": {
            **_BOOT,
            "default_online_type": "online",
            "devices": [{"kind": "hv-balloon", "name": "hv0"}],
        },
        "steps": [
            {
                "comment": "192 MiB: the second memory block is backed by half.",
                "do": "hv_hot_add",
                "device": "hv0",
                "start_pfn": "4G",
                "nr_pages": "192M",
            },
            {"do": "hv_inflate", "device": "hv0", "nr_pages": "8M"},
            {"comment": "All of it comes back.", "do": "hv_deflate", "device": "hv0"},
        ],
    },
    "xen-balloon": {
        "title": "A Xen guest grows beyond its boot memory",
        "machine": {
            **_BOOT,
            "default_online_type": "online",
            "devices": [{"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": "4G"}],
        },
        "steps": [
            {
                "comment": "From 512 MiB to 600 MiB: one memory block is added, and only part of it used.",
                "do": "xen_balloon_target",
                "device": "xen0",
                "target_pages": "600M",
            },
            {"do": "xen_balloon_target", "device": "xen0", "target_pages": "512M"},
        ],
    },
    "device-memory": {
        "title": "Persistent memory that the kernel does not manage",
        "machine": _BOOT,
        "steps": [
            {
                "comment": "It gets struct pages in ZONE_DEVICE, which never go online.",
                "do": "memremap_pages",
                "start_pfn": "8G",
                "nr_pages": "128M",
            }
        ],
    },
}
"""Kind -> title, machine and steps."""


def example(kind: str) -> str:
    """Return a commented scenario as JSON text; MemsimError for a kind that there is not."""
    if kind not in EXAMPLES:
        msg = f"there is no example {kind!r}; there are {', '.join(EXAMPLES)}"
        raise MemsimError(msg)
    return json.dumps({"format": FORMAT, **EXAMPLES[kind]}, indent=2) + "\n"

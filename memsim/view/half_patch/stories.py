"""Five stories in which the hunks of the patch matter: a DIMM, a self-hosted block, and three drivers.

Left out: what is wrong when a hunk is missing; that is found by running them.
"""

from __future__ import annotations

from typing import Any

from memsim.scenario.scenario import FORMAT, Scenario

_P, _N = 0x100000, 32768
_ADD = {"do": "add_memory", "start_pfn": _P, "nr_pages": _N}
_ONLINE = {"do": "online", "block": 32, "type": "online_movable"}
_VIRTIO_MEM = {
    "kind": "virtio-mem",
    "name": "vm0",
    "start_pfn": _P,
    "region_pages": 4 * _N,
    "device_block_pages": 512,
}


def _request(pages: int) -> dict[str, Any]:
    return {"do": "virtio_mem_request", "device": "vm0", "requested_pages": pages}


def _hot_add(start: int, pages: int) -> dict[str, Any]:
    return {"do": "hv_hot_add", "device": "hv0", "start_pfn": _P + start, "nr_pages": pages}


STORIES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "DIMM": ({}, [_ADD, _ONLINE]),
    "self-hosted": ({"memmap_on_memory": True}, [_ADD, _ONLINE]),
    "virtio-mem": (
        {"devices": [_VIRTIO_MEM]},
        [_request(_N // 2), _ONLINE, _request(3 * _N // 4), {"do": "offline", "block": 32}],
    ),
    "Hyper-V": (
        {"devices": [{"kind": "hv-balloon", "name": "hv0"}]},
        [_hot_add(0, 20000), _ONLINE, _hot_add(20000, 5000)],
    ),
    "Xen": (
        {"devices": [{"kind": "xen-balloon", "name": "xen0", "hotplug_start_pfn": 4 * _N}]},
        [
            {"do": "xen_balloon_target", "device": "xen0", "target_pages": 4 * _N + 1000},
            {"do": "online", "block": 4, "type": "online_kernel"},
        ],
    ),
}
"""Name -> what the machine has besides 512 MiB of memory, and the steps."""


def story_scenario(story: str) -> Scenario:
    """Return a story as a scenario."""
    machine, steps = STORIES[story]
    machine = {"ram": [[0, 4 * _N]], "block_pages": _N} | machine
    return Scenario.parse({"format": FORMAT, "title": story, "machine": machine, "steps": steps})

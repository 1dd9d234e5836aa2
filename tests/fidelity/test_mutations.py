"""A judge that cannot say no is none: one line of the simulator is changed, and the recordings object.

Each change is made in a copy of memsim, which a Python of its own then replays against the four recordings
of a DIMM. It must come to its end and differ; that it merely crashes would prove nothing.

Not every line can show in these recordings: they hold neither the order of free lists nor NR_FREE_PAGES, and
no free pageblocks of two types meet in them. Such lines are for tests/unit and tests/property.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import memsim

pytestmark = pytest.mark.fidelity

PACKAGE = Path(memsim.__file__).parent
REPLAY = """
import json, memsim
from memsim.recordings.observation import bundled
from memsim.recordings.replay import replay
names = ("6.1-dimm", "6.12-dimm", "6.12base-before-dimm", "6.12base-after-dimm")
problems = {}
for name in names:
    problems[name] = sum(len(result.problems) for result in replay(bundled(name)).results)
    if problems[name]:
        break  # one that objects is enough
print(json.dumps({"from": memsim.__file__, "problems": problems}))
"""
MM_INIT, PAGE_ALLOC = "linux/mm/mm_init.py", "linux/mm/page_alloc/buddy.py"
HOTPLUG = "linux/mm/memory_hotplug/online.py"
OFFLINE = "linux/mm/memory_hotplug/offline.py"

# What the change breaks: (file, a part that only one line of it has, what it becomes).
MUTATIONS = {
    "first_state: before the patch pages are born without a mark": (
        MM_INIT,
        "return int(PageFlag.RESERVED), NO_TYPE",
        "return 0, NO_TYPE",
    ),
    "first_state: after the patch pages are born without a mark": (
        MM_INIT,
        "return 0, kernel.memmap.encoding.code(PageType.OFFLINE)",
        "return 0, NO_TYPE",
    ),
    "first_state: pages are born Offline without the hunk, too": (
        MM_INIT,
        "if kernel.has(Hunk.MM_INIT) and zone_type != ZoneType.DEVICE:",
        "if zone_type != ZoneType.DEVICE:",
    ),
    "memmap_init_range: hotplugged pages are initialised as at boot": (
        MM_INIT,
        "flags, stored_type = first_state(kernel, zone_type, context)",
        "flags, stored_type = first_state(kernel, zone_type, MEMINIT_EARLY)",
    ),
    "memmap_init_range: the last page is forgotten": (
        MM_INIT,
        "kernel.memmap.init_pages(pfn, nr_pages, zone_type, flags, stored_type)",
        "kernel.memmap.init_pages(pfn, nr_pages - 1, zone_type, flags, stored_type)",
    ),
    "__free_one_page: merging stops at order 9": (
        PAGE_ALLOC,
        "while order < MAX_PAGE_ORDER:",
        "while order < MAX_PAGE_ORDER - 1:",
    ),
    "__free_one_page: the partner is always the block above": (
        PAGE_ALLOC,
        "buddy_pfn = pfn ^ (1 << order)",
        "buddy_pfn = pfn + (1 << order)",
    ),
    "may_merge: an isolated pageblock merges with any other": (
        PAGE_ALLOC,
        "if order < pageblock_order:",
        "if order <= pageblock_order:",
    ),
    "page_is_buddy: partners are looked for in other zones": (
        PAGE_ALLOC,
        "memmap.buddy_order(pfn) == order and memmap.zone_of(pfn) == zone.type",
        "memmap.buddy_order(pfn) == order and memmap.zone_of(pfn) != zone.type",
    ),
    "__free_pages_core: pages keep the reference that they were born with": (
        PAGE_ALLOC,
        "memmap.set_refcount(pfn, nr_pages, 0)",
        "memmap.set_refcount(pfn, nr_pages, 1)",
    ),
    "__free_pages_core: pages stay Offline": (
        PAGE_ALLOC,
        "memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)",
        "memmap.clear_type(pfn, 0, PageType.OFFLINE)",
    ),
    "__free_pages_core: MemTotal moves at the wrong time": (
        PAGE_ALLOC,
        "if context == MEMINIT_HOTPLUG and kernel.has(Hunk.MEMINIT_CONTEXT):",
        "if context == MEMINIT_HOTPLUG:",
    ),
    "online_pages: the range is not isolated while it comes online": (
        HOTPLUG,
        "move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.ISOLATE)",
        "move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.MOVABLE)",
    ),
    "offline_pages: isolated pageblocks stay counted": (
        OFFLINE,
        'zone.add("nr_isolate_pageblock", -(nr_pages // pageblock_nr_pages))',
        'zone.add("nr_isolate_pageblock", 0)',
    ),
}


def replay_in(folder):
    """Replay the recordings with the memsim that lies in a folder; returns problems per recording."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", REPLAY],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"it crashed: {done.stderr}"
    answer = json.loads(done.stdout)
    assert Path(answer["from"]).is_relative_to(folder)
    return answer["problems"]


def copied(folder):
    """Copy the simulator, with what Python compiled of it, and the recordings of a DIMM."""

    def left_out(_, names):
        return {
            name
            for name in names
            if name in {"view", "lesson"} or (name.endswith(".json") and "dimm" not in name)
        }

    shutil.copytree(PACKAGE, folder / "memsim", ignore=left_out)
    return folder


def mutate(path, part, changed):
    """Change a part of one line of a file; there must be exactly one line that has it."""
    source = path.read_text(encoding="utf-8")
    count = source.count(part)
    assert count == 1, f"{path.name} has {part!r} {count} times: choose another change"
    path.write_text(source.replace(part, changed), encoding="utf-8")


def test_an_unchanged_copy_agrees_with_the_recordings(tmp_path):
    assert list(replay_in(copied(tmp_path)).values()) == [0, 0, 0, 0]


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_recordings_notice_one_changed_line(name, tmp_path):
    file, part, changed = MUTATIONS[name]
    mutate(copied(tmp_path) / "memsim" / file, part, changed)
    assert sum(replay_in(tmp_path).values()) > 0

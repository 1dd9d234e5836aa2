"""The state table (tests/material/state-table.csv), and one page of a state in its columns.

The table is the specification: for each step of each path, what one page looks like before and after the
patch.
"""

import csv
from pathlib import Path

from memsim.linux.include.page_flags import PageFlag

_FILE = Path(__file__).parent.parent / "material" / "state-table.csv"
_COLUMNS = ("reserved", "type", "dirty", "self_hosted", "refcount", "in_buddy", "managed", "present")


DRIVERS = {"virtio-mem": "V", "hv-balloon": "Y", "xen-balloon": "X"}
"""Kind of device -> the letter that the rows of its driver begin with."""


def rows(kind=None):
    """Return {(row, version): values} of the rows of a driver, or those of none, as of 6.1 and 6.12."""
    return {key: values for key, values in all_rows(kind).items() if key[1] != "7.3"}


def rows_of_7_3(kind=None):
    """Return {row: values} as of 7.3: the rows of its own, and else those after the patch."""
    known = all_rows(kind)
    return {
        row: known.get((row, "7.3"), values) for (row, version), values in known.items() if version == "after"
    }


def all_rows(kind):
    """Return {(row, version): values} of the rows of a driver, or those of none."""
    wanted = {
        (row["id"], row["version"]): tuple(row[column] for column in _COLUMNS)
        for row in csv.DictReader(_FILE.read_text(encoding="utf-8").splitlines())
    }
    drivers = {letter: name for name, letter in DRIVERS.items()}
    return {key: values for key, values in wanted.items() if drivers.get(key[0][0]) == kind}


def in_free_block(state, pfn):
    """Return whether a page lies in a block on a free list."""
    return any(
        head <= pfn < head + (1 << order)
        for zone in state.zones
        for order, area in enumerate(zone.free_area)
        for blocks in area
        for head in blocks
    )


def columns(state, pfn):
    """Return the columns of the table for one page."""
    page = state.memmap.raw(pfn)
    found = (
        page.reserved,
        "+".join(sorted(kind.value for kind in page.types)) or "none",
        bool(page.flags & PageFlag.DIRTY),
        bool(page.flags & PageFlag.VMEMMAP_SELF_HOSTED),
        page.refcount,
        in_free_block(state, pfn),
        page.managed,
        page.present,
    )
    return tuple(str(int(value)) if not isinstance(value, str) else value for value in found)

"""Where a kernel keeps what the lab reads: offsets, bits and numbers, from the kernel's own BTF."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.lab import vmlinux
from tests.lab.btf import Btf
from tests.lab.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

ZONE_MEMBERS = {
    "start_pfn": "zone_start_pfn",
    "spanned": "spanned_pages",
    "present": "present_pages",
    "managed": "managed_pages",
    "nr_isolate_pageblock": "nr_isolate_pageblock",
}
FLAGS = {
    "reserved": "PG_reserved",
    "dirty": "PG_dirty",
    "self_hosted": "PG_owner_priv_1",
    "hwpoison": "PG_hwpoison",
}
"""PG_vmemmap_self_hosted is another name of PG_owner_priv_1, which is what the enum says."""
ACTIONS = (
    *("MEM_ONLINE", "MEM_GOING_OFFLINE", "MEM_OFFLINE", "MEM_GOING_ONLINE", "MEM_CANCEL_ONLINE"),
    *("MEM_CANCEL_OFFLINE", "MEM_PREPARE_ONLINE", "MEM_FINISH_OFFLINE"),
)


@dataclass(frozen=True)
class Layout:
    """Offsets in bytes, flags as bit numbers."""

    page_size: int
    page: dict[str, int]
    """Offsets of flags, private, page_type and refcount in ``struct page``."""
    flags: dict[str, int]
    lru: int
    nr_flags: int
    type_encoding: str
    """``inverted-bits`` (6.1), ``inverted-high-bits`` (6.11) or ``byte`` (6.12)."""
    zone_size: int
    zone: dict[str, int]
    section_size: int
    section_usage: int
    usage_pageblocks: int
    pageblock_bits: int
    isolate_bit: int | None
    """The bit that says isolated where that is a bit (6.17), else None."""
    isolate_type: int
    notifier_pfn: int
    """Offset of start_pfn in ``struct memory_notify``."""
    actions: dict[int, str]

    def save(self, path: Path) -> None:
        """Write the layout as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Layout:
        """Read what :meth:`save` wrote."""
        values = json.loads(path.read_text(encoding="utf-8"))
        values["actions"] = {int(number): name for number, name in values["actions"].items()}
        return cls(**values)


def layout_of_image(image: Path, cache: Path) -> Layout:
    """Return the layout of a kernel image; reading the BTF takes seconds, so the result is kept."""
    if cache.exists() and cache.stat().st_mtime > image.stat().st_mtime:
        return Layout.load(cache)
    try:
        packed = image.read_bytes()
    except OSError as problem:  # some distributions let only root read /boot
        msg = f"{image}: {problem.strerror}; make a copy of the same name that you may read (sudo cp, chown)"
        raise LabError(msg) from None
    data = vmlinux.section(vmlinux.unpack(packed, str(image)), ".BTF")
    if data is None:
        msg = f"{image}: has no .BTF section; the lab needs a kernel built with CONFIG_DEBUG_INFO_BTF=y"
        raise LabError(msg)
    layout = layout_of(Btf(data))
    layout.save(cache)
    return layout


def layout_of(btf: Btf) -> Layout:
    """Return the layout that a kernel's types describe."""
    enum = btf.enumerators
    bits = next((enum[name] for name in ("__NR_PAGEBLOCK_BITS", "NR_PAGEBLOCK_BITS") if name in enum), 4)
    page_members = {"flags": ("flags",), "private": ("private",), "refcount": ("_refcount",)}
    return Layout(
        page_size=btf.size("page"),
        page={key: btf.offset("page", *names) for key, names in page_members.items()}
        | {"page_type": btf.offset("page", "page_type", "_mapcount")},
        flags={key: enum[name] for key, name in FLAGS.items() if name in enum},
        lru=btf.value("PG_lru"),
        nr_flags=btf.value("__NR_PAGEFLAGS"),
        type_encoding=type_encoding(enum),
        zone_size=btf.size("zone"),
        zone={key: btf.offset("zone", name) for key, name in ZONE_MEMBERS.items()},
        section_size=btf.size("mem_section"),
        section_usage=btf.offset("mem_section", "usage"),
        usage_pageblocks=btf.offset("mem_section_usage", "pageblock_flags"),
        pageblock_bits=1 << (bits - 1).bit_length(),
        isolate_bit=enum.get("PB_migrate_isolate"),
        isolate_type=btf.value("MIGRATE_ISOLATE"),
        notifier_pfn=btf.offset("memory_notify", "start_pfn"),
        actions=actions_of(enum),
    )


def type_encoding(enum: dict[str, int]) -> str:
    """Return how a kernel stores page types: its enum pagetype says so, and 6.1 has macros instead.

    >>> type_encoding({"PGTY_offline": 0xF1}), type_encoding({"PG_offline": 0x20000000}), type_encoding({})
    ('byte', 'inverted-high-bits', 'inverted-bits')
    """
    if "PGTY_offline" in enum:
        return "byte"
    return "inverted-high-bits" if "PG_offline" in enum else "inverted-bits"


def actions_of(enum: dict[str, int]) -> dict[int, str]:
    """Return the notifier's actions by number.

    An enum says what they are worth (7.3, late 6.12.y). Before it, they are macros, each a bit.
    """
    if "MEM_ONLINE" in enum:
        return {enum[name]: name for name in ACTIONS if name in enum}
    return {1 << number: name for number, name in enumerate(ACTIONS)}

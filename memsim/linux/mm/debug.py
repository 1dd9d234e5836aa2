"""What the kernel prints of a page: ``dump_page()``, ``mm/debug.c``.

Left out: the mapping and the index of a page, its owner (page_owner), and the addresses in its list heads,
which are printed as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.page_flags import ALL_FLAGS, ZONE_SHIFT, PageFlag, flags_word

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

LAST_CPUPID = 0x1FFFFF
"""A page that no process has used; the field lies below the zone in ``page->flags``."""
_LAST_CPUPID_SHIFT = 30


def dump_page(kernel: Kernel, pfn: int, reason: str) -> None:
    """Print a page and why it is printed, in the form of the kernel's release."""
    for line in page_lines(kernel, pfn, reason):
        kernel.state.printk(line)


def page_lines(kernel: Kernel, pfn: int, reason: str) -> list[str]:
    """Return the lines that :func:`dump_page` prints."""
    page, word, old = kernel.memmap.raw(pfn), type_word(kernel, pfn), kernel.release.name == "6.1"
    # 6.1 takes a page type for a mapcount; later kernels print 0.
    counts = f"refcount:{page.refcount} mapcount:{word - 0xFFFFFFFF if old else 0}"
    # 6.1 prints a hashed address behind the colon; 6.11 does without.
    address, kind = f"{0:016x}" if old else "", "+".join(sorted(each.value for each in page.types))
    first = f"page:{address} {counts} mapping:{0:016x} index:0x0 pfn:{pfn:#x}"
    lines = [first, f"flags: {flags_in_words(kernel, pfn)}"]
    if page.types and not old:
        lines += [f"page_type: {word >> 24 if not kernel.memmap.encoding.inverted else word:x}({kind})"]
    words = raw_words(kernel, pfn)
    lines += [f"raw: {' '.join(half)}" for half in (words[:4], words[4:])]
    return [*lines, f"page dumped because: {reason}"]


def type_word(kernel: Kernel, pfn: int) -> int:
    """Return the 32-bit ``page_type`` of a page."""
    return kernel.memmap.encoding.page_type(kernel.memmap.stored_type(pfn))


def whole_flags(kernel: Kernel, pfn: int) -> int:
    """Return the 64-bit ``page->flags`` with the field LAST_CPUPID."""
    return flags_word(kernel.memmap.flags(pfn), kernel.release.name) | LAST_CPUPID << _LAST_CPUPID_SHIFT


def flags_in_words(kernel: Kernel, pfn: int) -> str:
    """Return ``page->flags`` as ``%pGp`` prints it."""
    flags = kernel.memmap.flags(pfn)
    names = [each.name.lower() for each in PageFlag(flags & ALL_FLAGS) if each.name]
    shown = f"|node=0|zone={flags >> ZONE_SHIFT}|lastcpupid={LAST_CPUPID:#x}"
    return f"{whole_flags(kernel, pfn):#x}({'|'.join(names)}{shown if names else shown[1:]})"


def raw_words(kernel: Kernel, pfn: int) -> list[str]:
    """Return the eight words of a struct page, as ``print_hex_dump()`` prints them."""
    page = kernel.memmap.raw(pfn)
    counts = (page.refcount & 0xFFFFFFFF) << 32 | type_word(kernel, pfn)
    words = (whole_flags(kernel, pfn), 0, 0, 0, 0, page.order, counts, 0)
    return [f"{word:016x}" for word in words]
